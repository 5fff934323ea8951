//! Talks to a hub: one request at a time, redirects followed by hand, the token kept to the hub's own host.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::{Response, StatusCode, Uri};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body};

use super::hash::ContentId;
use super::id::{RepoId, is_commit};
use super::{HubError, HubSettings};

/// The hub itself redirects once to its store; renamed repositories add one.
const MAX_REDIRECTS: usize = 5;
/// How often something is tried that may work the next time.
pub(super) const TRIES: u32 = 5;
/// The largest list of a repository's files that is read.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// A hub and how to reach it.
pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    origin: String,
    token: Option<String>,
    /// The pause after a first failure; each further one doubles it.
    pub(super) first_pause: Duration,
}

/// A commit of a repository and its files.
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) files: Vec<String>,
}

/// What the hub says of a file before it sends it.
#[derive(Clone)]
pub(super) struct FileFacts {
    pub(super) content: ContentId,
    pub(super) bytes: u64,
}

/// Which headers a request has, and where it ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// `HEAD`, until the hub has said what the content is.
    Facts,
    /// `GET`, from this byte on.
    Content(u64),
}

impl Client {
    pub(super) fn new(settings: &HubSettings) -> Result<Client, HubError> {
        let endpoint = settings.endpoint.trim_end_matches('/').to_string();
        let origin = origin(&endpoint).ok_or_else(|| HubError::Endpoint {
            endpoint: settings.endpoint.clone(),
        })?;
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .user_agent(concat!("percept/", env!("CARGO_PKG_VERSION")))
            // A packed answer would hide the size of a file.
            .accept_encoding("identity")
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(Duration::from_secs(15)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_per_read(Some(Duration::from_secs(60)))
            .build()
            .new_agent();
        Ok(Client {
            agent,
            endpoint,
            origin,
            token: settings.token.clone(),
            first_pause: Duration::from_millis(500),
        })
    }

    /// The commit and the files of a revision.
    pub(super) fn list(&self, id: &RepoId) -> Result<Listing, HubError> {
        #[derive(Deserialize)]
        struct Answer {
            sha: String,
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let revision = id.revision.replace('/', "%2F");
        let url = format!(
            "{}/api/models/{}/revision/{revision}",
            self.endpoint, id.name
        );
        let text = self.retry(|| {
            let response = self.ask(id, "", &url, Ask::Content(0))?;
            let mut text = Vec::new();
            let body = response.into_body().into_reader().take(MAX_LIST_BYTES);
            let mut body = body;
            body.read_to_end(&mut text)
                .map_err(|error| network(&url, error.into()))?;
            Ok(text)
        })?;
        let answer: Answer = serde_json::from_slice(&text).map_err(|_| HubError::Answer {
            url: url.clone(),
            what: "list of files",
        })?;
        if !is_commit(&answer.sha) {
            let what = "commit";
            return Err(HubError::Answer { url, what });
        }
        Ok(Listing {
            commit: answer.sha,
            files: answer.siblings.into_iter().map(|s| s.rfilename).collect(),
        })
    }

    /// The content id and the size of a file.
    pub(super) fn facts(
        &self,
        id: &RepoId,
        commit: &str,
        file: &str,
    ) -> Result<FileFacts, HubError> {
        let url = self.file_url(id, commit, file);
        let response = self.retry(|| self.ask(id, file, &url, Ask::Facts))?;
        let missing = |what| HubError::Answer {
            url: url.clone(),
            what,
        };
        let etag = header(&response, "x-linked-etag").or_else(|| header(&response, "etag"));
        let size =
            header(&response, "x-linked-size").or_else(|| header(&response, "content-length"));
        Ok(FileFacts {
            content: etag
                .and_then(ContentId::of_etag)
                .ok_or_else(|| missing("hash (ETag)"))?,
            bytes: size
                .and_then(|size| size.parse().ok())
                .ok_or_else(|| missing("size (Content-Length)"))?,
        })
    }

    /// The bytes of a file from `start` on: the body, and the place where it really begins.
    pub(super) fn content(
        &self,
        id: &RepoId,
        commit: &str,
        file: &str,
        start: u64,
    ) -> Result<(u64, impl Read + use<>), HubError> {
        let url = self.file_url(id, commit, file);
        let response = self.ask(id, file, &url, Ask::Content(start))?;
        let begins = match response.status() {
            StatusCode::PARTIAL_CONTENT => header(&response, "content-range").and_then(range_start),
            _ => Some(0),
        };
        let begins = begins.filter(|&begins| begins == 0 || begins == start);
        let what = "range";
        let begins = begins.ok_or(HubError::Answer { url, what })?;
        Ok((begins, response.into_body().into_reader()))
    }

    fn file_url(&self, id: &RepoId, commit: &str, file: &str) -> String {
        let file = escaped(file);
        format!("{}/{}/resolve/{commit}/{file}", self.endpoint, id.name)
    }

    /// Asks once, following redirects; any other answer than success is an error.
    fn ask(
        &self,
        id: &RepoId,
        file: &str,
        url: &str,
        ask: Ask,
    ) -> Result<Response<Body>, HubError> {
        let mut at = url.to_string();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&at, ask).map_err(|error| network(&at, error))?;
            let status = response.status();
            let says_enough = ask == Ask::Facts && header(&response, "x-linked-etag").is_some();
            if status.is_success() || says_enough && status.is_redirection() {
                return Ok(response);
            }
            if !status.is_redirection() {
                return Err(self.refusal(id, file, at, &response));
            }
            let next = header(&response, "location").and_then(|to| resolve(&at, to));
            let what = "address to redirect to";
            at = next.ok_or(HubError::Answer { url: at, what })?;
        }
        let what = "end of redirects";
        Err(HubError::Answer { url: at, what })
    }

    fn send(&self, url: &str, ask: Ask) -> Result<Response<Body>, ureq::Error> {
        let mut request = match ask {
            Ask::Facts => self.agent.head(url),
            Ask::Content(_) => self.agent.get(url),
        };
        if let Some(token) = &self.token
            && origin(url).as_ref() == Some(&self.origin)
        {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Ask::Content(start @ 1..) = ask {
            request = request.header("range", format!("bytes={start}-"));
        }
        request.call()
    }

    /// What an answer that is no success means.
    fn refusal(&self, id: &RepoId, file: &str, url: String, response: &Response<Body>) -> HubError {
        let name = id.name.clone();
        let endpoint = self.endpoint.clone();
        match (response.status().as_u16(), header(response, "x-error-code")) {
            (_, Some("GatedRepo")) => HubError::Gated { id: name, endpoint },
            (_, Some("RepoNotFound")) => HubError::NoRepository { id: name, endpoint },
            (404, Some("RevisionNotFound")) => HubError::NoRevision {
                id: name,
                revision: id.revision.clone(),
            },
            (404, _) if !file.is_empty() => HubError::NoFile {
                id: name,
                file: file.into(),
            },
            (404, _) => HubError::NoRepository { id: name, endpoint },
            (status @ (401 | 403), _) => HubError::Refused { id: name, status },
            (status, _) => HubError::Status { url, status },
        }
    }

    /// Tries something several times, with growing pauses, as long as its error may pass.
    fn retry<T>(&self, mut attempt: impl FnMut() -> Result<T, HubError>) -> Result<T, HubError> {
        for failures in 0..TRIES - 1 {
            match attempt() {
                Err(error) if may_pass(&error) => self.pause(failures),
                result => return result,
            }
        }
        attempt()
    }

    /// Waits after a failure, longer after each.
    pub(super) fn pause(&self, failures: u32) {
        std::thread::sleep(self.first_pause * 2u32.saturating_pow(failures));
    }
}

/// Whether an error may be gone at the next try.
pub(super) fn may_pass(error: &HubError) -> bool {
    match error {
        HubError::Network { .. } => true,
        HubError::Status { status, .. } => matches!(status, 408 | 416 | 425 | 429 | 500..),
        _ => false,
    }
}

pub(super) fn network(url: &str, source: ureq::Error) -> HubError {
    // Signed addresses carry credentials behind the question mark.
    let url = url.split('?').next().unwrap_or(url).to_string();
    let source = Box::new(source);
    HubError::Network { url, source }
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// `5` of `bytes 5-9/10`.
fn range_start(range: &str) -> Option<u64> {
    let (start, _) = range.strip_prefix("bytes ")?.split_once('-')?;
    start.parse().ok()
}

/// Scheme, host and port of an address, the default port written out.
fn origin(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let default = match &scheme[..] {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let host = uri.host()?.to_ascii_lowercase();
    let port = uri.port_u16().unwrap_or(default);
    Some(format!("{scheme}://{host}:{port}"))
}

/// The address that `location` means when `at` redirects to it.
fn resolve(at: &str, location: &str) -> Option<String> {
    let uri: Uri = at.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let url = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        location.into()
    };
    origin(&url).map(|_| url)
}

/// A file name as part of an address.
fn escaped(name: &str) -> String {
    let mut escaped = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(byte.into());
            }
            _ => escaped += &format!("%{byte:02X}"),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let same = [
            "https://Hub.co",
            "https://hub.co:443/x",
            "HTTPS://hub.co/y?z",
        ];
        for url in same {
            assert_eq!(origin(url).as_deref(), Some("https://hub.co:443"), "{url}");
        }
        for other in ["http://hub.co", "https://hub.co:444", "https://hub.co.evil"] {
            assert_ne!(origin(other), origin("https://hub.co"), "{other}");
        }
        for none in ["hub.co", "ftp://hub.co", "", "/x"] {
            assert_eq!(origin(none), None, "{none}");
        }
    }

    #[test]
    fn redirects_resolve_against_the_address_that_sent_them() {
        let at = "https://hub.co:8443/a/b?c";
        let cases = [
            ("/x?y", Some("https://hub.co:8443/x?y")),
            ("//cdn.co/x", Some("https://cdn.co/x")),
            ("http://cdn.co/x", Some("http://cdn.co/x")),
            ("file:///etc/passwd", None),
        ];
        for (location, want) in cases {
            assert_eq!(resolve(at, location).as_deref(), want, "{location}");
        }
        assert_eq!(escaped("a b#?.json"), "a%20b%23%3F.json");
        assert_eq!(range_start("bytes 5-9/10"), Some(5));
    }
}
