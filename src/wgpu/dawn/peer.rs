//! The process that has Dawn: requests and answers, as tools/dawn/serve.mjs has them.

use crate::error::Error;
use serde_json::Value;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub(super) struct Peer {
    child: Child,
    /// `None` once it is to end.
    requests: Option<ChildStdin>,
    answers: ChildStdout,
    /// Number of the buffer that was made last.
    last_id: u64,
}

impl Peer {
    /// Starts it; what it says of its device comes along.
    pub(super) fn start(folder: &Path) -> Result<(Self, Value), String> {
        let said = |e: io::Error| format!("Node with {}: {e}", folder.display());
        let mut child = Command::new("node")
            .arg(folder.join("serve.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(said)?;
        let (requests, answers) = (child.stdin.take(), child.stdout.take());
        let answers = answers.ok_or("Node has no output")?;
        let mut peer = Peer { child, requests, answers, last_id: 0 };
        // Without its packages it ends before it says anything.
        let (found, _) = peer.answer().map_err(|e| format!("{}; `npm ci` there installs it", said(e)))?;
        match found["error"].as_str() {
            Some(error) => Err(error.into()),
            None => Ok((peer, found)),
        }
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The bytes of its answer.
    pub(super) fn ask(&mut self, header: &Value, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let device = |words: String| Error::Device { backend: "dawn", source: words.into() };
        let answer = self.send(header, bytes).and_then(|()| self.answer());
        let (header, bytes) = answer.map_err(|e| device(format!("the process that has Dawn: {e}")))?;
        match header["error"].as_str() {
            Some(error) => Err(device(error.into())),
            None => Ok(bytes),
        }
    }

    fn send(&mut self, header: &Value, bytes: &[u8]) -> io::Result<()> {
        let Some(requests) = &mut self.requests else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let header = header.to_string();
        requests.write_all(&length(header.len())?)?;
        requests.write_all(&length(bytes.len())?)?;
        requests.write_all(header.as_bytes())?;
        requests.write_all(bytes)?;
        requests.flush()
    }

    fn answer(&mut self) -> io::Result<(Value, Vec<u8>)> {
        let mut lengths = [[0; 4]; 2];
        self.answers.read_exact(lengths.as_flattened_mut())?;
        let [mut header, mut bytes] = lengths.map(|length| vec![0; u32::from_le_bytes(length) as usize]);
        self.answers.read_exact(&mut header)?;
        self.answers.read_exact(&mut bytes)?;
        Ok((serde_json::from_slice(&header)?, bytes))
    }
}

impl Drop for Peer {
    /// At the end of its requests it exits.
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.child.wait();
    }
}

fn length(bytes: usize) -> io::Result<[u8; 4]> {
    u32::try_from(bytes).map(u32::to_le_bytes).map_err(|_| io::ErrorKind::FileTooLarge.into())
}
