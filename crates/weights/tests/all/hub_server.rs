//! A hub on loopback, just large enough to be fetched from, with faults to order.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha1::Digest as _;

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What a client asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Request {
    /// The first byte of a `Range` header.
    pub(crate) fn start(&self) -> usize {
        let range = self.headers.get("range").map_or("bytes=0-", |r| &r[..]);
        range["bytes=".len()..]
            .trim_end_matches('-')
            .parse()
            .unwrap()
    }
}

/// What the server answers.
#[derive(Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Close the connection after this many bytes of the body.
    pub(crate) cut: Option<usize>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Reply {
        Reply {
            status,
            ..Reply::default()
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Reply {
        self.body = body.into();
        self
    }
}

/// An HTTP server that runs until the test ends.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || {
                    if let Some(request) = read(&stream) {
                        log.lock().unwrap().push(request.clone());
                        let reply = answer(&request);
                        // A client that has gone is no fault of the server.
                        let _ = send(&stream, &request, &reply);
                    }
                });
            }
        });
        Server { url, requests }
    }

    /// Everything that was asked for so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ').map(String::from);
    let (method, path) = (words.next()?, words.next()?);
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_lowercase(), value.to_string()))
        })
        .collect();
    Some(Request {
        method,
        path,
        headers,
    })
}

fn send(mut stream: &TcpStream, request: &Request, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(head, "content-length: {}\r\n\r\n", reply.body.len());
    stream.write_all(head.as_bytes())?;
    if request.method != "HEAD" {
        let end = reply.cut.unwrap_or(reply.body.len());
        stream.write_all(&reply.body[..end.min(reply.body.len())])?;
    }
    stream.flush()
}

/// The files of a repository `o/m`.
#[derive(Clone, Default)]
pub(crate) struct Repo {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Files that lie in the store of large files, at this address.
    pub(crate) large_at: Option<String>,
}

impl Repo {
    pub(crate) fn new(files: &[(&str, &[u8])]) -> Repo {
        let files = files.iter().map(|(n, b)| (n.to_string(), b.to_vec()));
        Repo {
            files: files.collect(),
            large_at: None,
        }
    }

    /// Whether a file lies in the store of large files.
    fn is_large(name: &str) -> bool {
        name.ends_with(".safetensors") || name.ends_with(".nemo")
    }

    /// Answers as the hub does.
    pub(crate) fn answer(&self, request: &Request) -> Reply {
        if let Some(revision) = request.path.strip_prefix("/api/models/o/m/revision/") {
            if revision != "main" && revision != COMMIT && revision != "refs%2Fpr%2F1" {
                return Reply::status(404).with("x-error-code", "RevisionNotFound");
            }
            let siblings: Vec<_> = self
                .files
                .keys()
                .map(|n| format!("{{\"rfilename\":\"{n}\"}}"))
                .collect();
            let list = format!(
                "{{\"sha\":\"{COMMIT}\",\"siblings\":[{}]}}",
                siblings.join(",")
            );
            return Reply::status(200).body(list);
        }
        if let Some(name) = request.path.strip_prefix("/store/") {
            let name = name.split('?').next().unwrap();
            return self.content(request, &self.files[name]);
        }
        let prefix = format!("/o/m/resolve/{COMMIT}/");
        let Some(name) = request.path.strip_prefix(&prefix) else {
            return Reply::status(404).with("x-error-code", "RepoNotFound");
        };
        let Some(bytes) = self.files.get(name) else {
            return Reply::status(404).with("x-error-code", "EntryNotFound");
        };
        match &self.large_at {
            Some(store) if Repo::is_large(name) => Reply::status(302)
                .with("location", format!("{store}/store/{name}?signature=secret"))
                .with("x-linked-size", bytes.len().to_string())
                .with("x-linked-etag", format!("\"{}\"", sha256(bytes))),
            _ => {
                let etag = if Repo::is_large(name) {
                    sha256(bytes)
                } else {
                    git_id(bytes)
                };
                self.content(request, bytes)
                    .with("etag", format!("\"{etag}\""))
            }
        }
    }

    /// A file, or its end where a range is asked for.
    fn content(&self, request: &Request, bytes: &[u8]) -> Reply {
        match request.start() {
            0 => Reply::status(200).body(bytes),
            start if start >= bytes.len() => Reply::status(416),
            start => {
                let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
                Reply::status(206)
                    .with("content-range", range)
                    .body(&bytes[start..])
            }
        }
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&sha2::Sha256::digest(bytes))
}

pub(crate) fn git_id(bytes: &[u8]) -> String {
    let mut hasher = sha1::Sha1::new();
    hasher.update(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
