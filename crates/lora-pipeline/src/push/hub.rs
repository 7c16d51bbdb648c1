//! The hub's API for one commit: a repository, small files in the commit itself, large ones by Git LFS before it.
//!
//! The hub decides which is which (`preupload`): weights go by LFS, whatever their size. Its files appear together, with the commit.

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::{Value, json};

use super::{PushError, PushPlan};
use crate::base::hub::HubAccount;
use crate::http::{HttpError, JsonServer, text};

/// The beginning of a file, from which the hub tells texts from other bytes.
const SAMPLE: usize = 512;
/// A file of weights may take a while.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
const REVISION: &str = "main";
const LFS: &str = "application/vnd.git-lfs+json";
const LINES: &str = "application/x-ndjson";

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PushedCommit {
    /// Where people look at the repository.
    pub url: String,
    /// The commit.
    pub commit: String,
    /// Whether the repository is new.
    pub is_new: bool,
}

/// A file in memory: an adapter's is small beside the model that was opened to make it.
struct Upload {
    name: &'static str,
    bytes: Vec<u8>,
}

impl Upload {
    fn oid(&self) -> String {
        let hash = digest(&SHA256, &self.bytes);
        let digits = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
        digits.collect::<Vec<_>>().concat()
    }

    /// As LFS calls it.
    fn object(&self) -> Value {
        json!({"oid": self.oid(), "size": self.bytes.len()})
    }
}

impl PushPlan {
    /// Makes the repository if there is none, private if wanted, and one commit with all files.
    ///
    /// # Errors
    ///
    /// [`PushError`]. The repository may be there then, but no file in it has changed.
    pub fn push(&self, account: &HubAccount, private: bool) -> Result<PushedCommit, PushError> {
        let token = account.token.as_deref().ok_or_else(|| PushError::NoToken {
            endpoint: account.endpoint.clone(),
        })?;
        let uploads: Vec<Upload> = self.read()?;
        let hub = Hub {
            server: JsonServer::new(&account.endpoint, Some(token), LONGEST_WAIT),
            repo: &self.repo,
        };
        let is_new = hub.make_repo(private)?;
        let large = hub.large_files(&uploads)?;
        let (large, small): (Vec<&Upload>, Vec<&Upload>) = uploads
            .iter()
            .partition(|upload| large.contains(&upload.name) && !upload.bytes.is_empty());
        hub.upload(&large)?;
        let commit = hub.commit(&small, &large)?;
        let url = format!("{}/{}", hub.server.address, self.repo);
        Ok(PushedCommit { url, commit, is_new })
    }

    fn read(&self) -> Result<Vec<Upload>, PushError> {
        let read = |name: &'static str| {
            let path = self.folder.join(name);
            match fs::read(&path) {
                Ok(bytes) => Ok(Upload { name, bytes }),
                Err(source) => Err(PushError::Read { path, source }),
            }
        };
        self.files.iter().map(|file| read(file.name)).collect()
    }
}

struct Hub<'a> {
    server: JsonServer,
    repo: &'a str,
}

impl Hub<'_> {
    fn failed(&self, source: HttpError) -> PushError {
        PushError::Hub {
            repo: self.repo.to_owned(),
            source,
        }
    }

    /// Whether it is new.
    fn make_repo(&self, private: bool) -> Result<bool, PushError> {
        let (organization, name) = self.repo.split_once('/').unwrap_or(("", self.repo));
        let mut body = json!({"type": "model", "name": name, "organization": organization});
        if private {
            body["visibility"] = json!("private");
        }
        match self.server.post("/api/repos/create", &body) {
            Ok(_) => Ok(true),
            // It is there.
            Err(error) if error.is_status(409) => Ok(false),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// The files that are to go by LFS.
    fn large_files(&self, uploads: &[Upload]) -> Result<Vec<&'static str>, PushError> {
        let path = format!("/api/models/{}/preupload/{REVISION}", self.repo);
        let files = uploads.iter().map(|upload| {
            let sample = &upload.bytes[..upload.bytes.len().min(SAMPLE)];
            json!({"path": upload.name, "sample": STANDARD.encode(sample), "size": upload.bytes.len()})
        });
        let files: Value = files.collect();
        let answer = self.server.post(&path, &json!({ "files": files }));
        let answer = answer.map_err(|error| self.failed(error))?;
        let modes = answer["files"].as_array().into_iter().flatten();
        let is_large: Vec<&Value> = modes.filter(|file| file["uploadMode"] == "lfs").collect();
        let names = uploads.iter().map(|upload| upload.name);
        Ok(names
            .filter(|name| is_large.iter().any(|file| file["path"] == *name))
            .collect())
    }

    /// Brings files to where LFS keeps them; what is there already stays.
    fn upload(&self, uploads: &[&Upload]) -> Result<(), PushError> {
        if uploads.is_empty() {
            return Ok(());
        }
        let path = format!("/{}.git/info/lfs/objects/batch", self.repo);
        let body = json!({
            "operation": "upload", "transfers": ["basic"], "hash_algo": "sha256", "ref": {"name": REVISION},
            "objects": uploads.iter().map(|upload| upload.object()).collect::<Value>(),
        });
        let answer = self.server.post_as(&path, LFS, &body.to_string());
        let answer = answer.map_err(|error| self.failed(error))?;
        for upload in uploads {
            let oid = upload.oid();
            let mut objects = answer["objects"].as_array().into_iter().flatten();
            let object = objects.find(|object| object["oid"] == oid.as_str());
            let object =
                object.ok_or_else(|| self.failed(HttpError::missing(&path, "object for each file")))?;
            if let Some(message) = object["error"]["message"].as_str() {
                return Err(PushError::File {
                    repo: self.repo.to_owned(),
                    file: upload.name.to_owned(),
                    message: message.to_owned(),
                });
            }
            let actions = &object["actions"];
            if let Some(address) = actions["upload"]["href"].as_str() {
                self.server
                    .put(address, &upload.bytes)
                    .map_err(|error| self.failed(error))?;
            }
            if let Some(address) = actions["verify"]["href"].as_str() {
                self.server
                    .post(address, &upload.object())
                    .map_err(|error| self.failed(error))?;
            }
        }
        Ok(())
    }

    /// The commit's name.
    fn commit(&self, small: &[&Upload], large: &[&Upload]) -> Result<String, PushError> {
        let path = format!("/api/models/{}/commit/{REVISION}", self.repo);
        let header = json!({"key": "header", "value": {"summary": "Upload adapter with lora push", "description": ""}});
        let small = small.iter().map(|upload| {
            let value =
                json!({"path": upload.name, "encoding": "base64", "content": STANDARD.encode(&upload.bytes)});
            json!({"key": "file", "value": value})
        });
        let large = large.iter().map(|upload| {
            let value = json!({"path": upload.name, "algo": "sha256", "oid": upload.oid(), "size": upload.bytes.len()});
            json!({"key": "lfsFile", "value": value})
        });
        let lines = [header].into_iter().chain(small).chain(large);
        let lines: Vec<String> = lines.map(|line| format!("{line}\n")).collect();
        let answer = self.server.post_as(&path, LINES, &lines.concat());
        let commit = answer.and_then(|answer| text(&path, &answer["commitOid"], "commitOid"));
        commit.map_err(|error| self.failed(error))
    }
}
