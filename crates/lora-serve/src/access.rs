//! Who may ask: a bearer token, and for changes without one only pages and programs of this machine.

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST};
use subtle::ConstantTimeEq as _;

use crate::error::ServeError;

/// What requests must carry as `Authorization: Bearer …`. It is shown nowhere.
#[derive(Clone)]
pub struct BearerToken(Vec<u8>);

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken")
    }
}

impl BearerToken {
    /// A token; white space around it is left out, for files end with a line break.
    ///
    /// # Errors
    ///
    /// [`ServeError::Token`] if nothing is left, or a header cannot hold it.
    pub fn new(token: &str) -> Result<Self, ServeError> {
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ServeError::Token);
        }
        Ok(Self(token.as_bytes().to_vec()))
    }

    /// Whether a request carries it. How long that takes depends on the token's length, not on what the request guessed right.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(AUTHORIZATION) else {
            return false;
        };
        let value = value.as_bytes();
        let (scheme, given) = value.split_at(value.len().min(BEARER.len()));
        scheme.eq_ignore_ascii_case(BEARER) && bool::from(self.0.ct_eq(given.trim_ascii()))
    }
}

const BEARER: &[u8] = b"Bearer ";

/// Whether a request names this machine as its host. A page from elsewhere whose name was made to lead here does not.
pub(crate) fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    // Of `[::1]:8080` and `localhost:8080` without the port.
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    };
    let is_loopback = |name: &str| {
        name.parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
    };
    name.is_some_and(|name| name.eq_ignore_ascii_case("localhost") || is_loopback(name))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn with(name: axum::http::HeaderName, value: &str) -> HeaderMap {
        let value = HeaderValue::from_str(value).expect("a header");
        HeaderMap::from_iter([(name, value)])
    }

    #[test]
    fn the_token_alone_opens() {
        let token = BearerToken::new("open-sesame\n").expect("a token");
        for right in ["Bearer open-sesame", "bearer open-sesame"] {
            assert!(token.is_in(&with(AUTHORIZATION, right)), "{right}");
        }
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "open-sesame",
            "Basic open-sesame",
            "Bearer open-sesam",
            "Bearer open-sesame2",
            "Bearer Open-sesame",
        ] {
            assert!(!token.is_in(&with(AUTHORIZATION, wrong)), "{wrong}");
        }
        assert!(!token.is_in(&HeaderMap::new()));
        assert!(!format!("{token:?}").contains("sesame"));
    }

    #[test]
    fn a_token_is_one_word_of_visible_characters() {
        for wrong in ["", " \n", "two words", "näh"] {
            assert!(BearerToken::new(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_its_own() {
        for own in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:1",
            "[::1]:8080",
            "[::1]",
        ] {
            assert!(names_this_machine(&with(HOST, own)), "{own}");
        }
        for other in [
            "example.org",
            "localhost.example.org",
            "127.0.0.1.example.org:80",
            "10.0.0.1",
            "",
        ] {
            assert!(!names_this_machine(&with(HOST, other)), "{other}");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
    }
}
