//! Inputs made of seeds: each is a function of its number, so that a failure can be repeated.

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// No input is longer.
pub const LONGEST: usize = 1 << 20;

/// Most changes to one seed.
const MOST_CHANGES: u32 = 6;

/// Numbers at which lengths, counts and indices go wrong.
const BOUNDARIES: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 40,
    0x7fff_ffff_ffff_ffff,
    1 << 63,
    u64::MAX,
];

/// What means something in most forms of text.
const TOKENS: [&str; 24] = [
    "[",
    "]",
    "{",
    "}",
    "\"",
    ":",
    ",",
    "null",
    "true",
    "-1",
    "1e999",
    "NaN",
    "\\ud800",
    "\\u0000",
    "\0",
    "\r\n",
    "\n",
    "\t",
    "- ",
    "&a",
    "*a",
    "\u{feff}",
    "\u{1f9ff}\u{301}",
    "18446744073709551616",
];

/// Makes inputs of seeds.
#[derive(Debug)]
pub struct Mutator {
    seeds: Vec<Vec<u8>>,
    tokens: Vec<Vec<u8>>,
}

impl Mutator {
    /// Of these seeds; `tokens` mean something to the reader.
    pub fn new(seeds: Vec<Vec<u8>>, tokens: &[&str]) -> Self {
        let tokens = tokens.iter().chain(&TOKENS);
        Self {
            seeds,
            tokens: tokens.map(|token| token.as_bytes().to_vec()).collect(),
        }
    }

    /// The input of a number. The first are the seeds themselves.
    pub fn input(&self, number: u64) -> Vec<u8> {
        if let Some(seed) = usize::try_from(number)
            .ok()
            .and_then(|number| self.seeds.get(number))
        {
            return seed.clone();
        }
        let mut random = ChaCha8Rng::seed_from_u64(number);
        let mut bytes = self.seeds.choose(&mut random).cloned().unwrap_or_default();
        for _ in 0..random.random_range(1..=MOST_CHANGES) {
            self.change(&mut bytes, &mut random);
        }
        bytes.truncate(LONGEST);
        bytes
    }

    fn change(&self, bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..10) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.random_range(0..8);
                }
            }
            1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.random();
                }
            }
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(chunk(bytes.len(), random))),
            4 => repeat(bytes, random),
            5 => {
                let number = BOUNDARIES.choose(random).copied().unwrap_or(0);
                let number = number.wrapping_add(random.random_range(0..3)).wrapping_sub(1);
                let width = 1 << random.random_range(0..4);
                overwrite(bytes, at, &number.to_le_bytes()[..width]);
            }
            6 => {
                let empty = Vec::new();
                let token = self.tokens.choose(random).unwrap_or(&empty);
                if random.random() {
                    bytes.splice(at..at, token.iter().copied());
                } else {
                    overwrite(bytes, at, token);
                }
            }
            7 => self.splice(bytes, at, random),
            8 => change_number(bytes, at, random),
            _ => {
                let moved: Vec<u8> = bytes[chunk(bytes.len(), random)].to_vec();
                bytes.splice(at..at, moved);
            }
        }
    }

    /// Another seed from some place on.
    fn splice(&self, bytes: &mut Vec<u8>, at: usize, random: &mut ChaCha8Rng) {
        if let Some(other) = self.seeds.choose(random) {
            bytes.truncate(at);
            bytes.extend(&other[random.random_range(0..=other.len())..]);
        }
    }
}

/// Some bytes that follow each other; short ones more often.
fn chunk(length: usize, random: &mut ChaCha8Rng) -> std::ops::Range<usize> {
    let most = length >> random.random_range(0..10_u32);
    let start = random.random_range(0..=length);
    start..length.min(start + random.random_range(0..=most))
}

/// A chunk many times: depth, length and number of parts.
fn repeat(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    let range = chunk(bytes.len(), random);
    let chunk: Vec<u8> = bytes[range.clone()].to_vec();
    // Long inputs are rare: they take the time of many short ones.
    let longest = LONGEST >> random.random_range(0..16_u32);
    let most = (longest / chunk.len().max(1)).max(1);
    let times = most >> random.random_range(0..10_u32);
    bytes.splice(range.end..range.end, chunk.repeat(times));
}

fn overwrite(bytes: &mut Vec<u8>, at: usize, with: &[u8]) {
    let end = bytes.len().min(at + with.len());
    bytes.splice(at..end, with.iter().copied());
}

/// A number that is written in digits.
fn change_number(bytes: &mut Vec<u8>, from: usize, random: &mut ChaCha8Rng) {
    let digits = |byte: &u8| byte.is_ascii_digit();
    let Some(start) = bytes[from..].iter().position(digits).map(|start| from + start) else {
        return;
    };
    let length = bytes[start..].iter().take_while(|byte| digits(byte)).count();
    let number = BOUNDARIES
        .choose(random)
        .copied()
        .unwrap_or(0)
        .wrapping_add(random.next_u64() % 2);
    bytes.splice(start..start + length, number.to_string().into_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_a_function_of_its_number_and_no_longer_than_the_longest() {
        let mutator = Mutator::new(
            vec![b"{\"a\": [1, 2]}".to_vec(), b"text,label\n".to_vec()],
            &["label"],
        );
        assert_eq!(mutator.input(1), b"text,label\n");
        let inputs: Vec<Vec<u8>> = (0..500).map(|number| mutator.input(number)).collect();
        assert!(inputs.iter().all(|input| input.len() <= LONGEST));
        assert!(inputs.iter().any(|input| input.len() > 1000));
        let again: Vec<Vec<u8>> = (0..500).map(|number| mutator.input(number)).collect();
        assert_eq!(inputs, again);
        let mut different = inputs;
        different.sort();
        different.dedup();
        assert!(different.len() > 400, "{}", different.len());
    }
}
