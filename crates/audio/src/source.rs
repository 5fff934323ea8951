//! Where bytes come from: a file, memory, or a pipe whose first bytes were already looked at.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

use symphonia::core::io::{MediaSource, ReadOnlySource};

use crate::mp4;

/// Bytes looked at to recognise the content.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;

/// A byte source whose first bytes can be read twice.
pub(crate) struct Source {
    inner: Box<dyn MediaSource>,
    /// What was read from a source that cannot go back; given out again first.
    head: Cursor<Vec<u8>>,
    is_seekable: bool,
}

impl Source {
    pub(crate) fn file(file: File) -> Self {
        Self::new(Box::new(file))
    }

    pub(crate) fn bytes(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::new(Box::new(Cursor::new(bytes)))
    }

    pub(crate) fn stream(stream: Box<dyn Read + Send + Sync>) -> Self {
        Self::new(Box::new(ReadOnlySource::new(stream)))
    }

    fn new(inner: Box<dyn MediaSource>) -> Self {
        Self {
            is_seekable: inner.is_seekable(),
            inner,
            head: Cursor::default(),
        }
    }

    /// The first [`HEAD_BYTES`] bytes, or all if there are fewer. To be called before anything is read.
    pub(crate) fn peek(&mut self) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        (&mut self.inner)
            .take(HEAD_BYTES as u64)
            .read_to_end(&mut head)?;
        if self.is_seekable {
            self.inner.seek(SeekFrom::Start(0))?;
        } else {
            self.head = Cursor::new(head.clone());
        }
        Ok(head)
    }

    /// The index of an MP4. Of a source that cannot go back, only `head` is searched.
    pub(crate) fn mp4_index(&mut self, head: &[u8]) -> mp4::Index {
        if !self.is_seekable {
            return mp4::index(&mut Cursor::new(head));
        }
        let index = mp4::index(&mut self.inner);
        // If the source cannot go back after all, the demuxer is about to find out.
        let _ = self.inner.seek(SeekFrom::Start(0));
        index
    }

    /// The same bytes, read strictly forward from here on.
    pub(crate) fn forward_only(mut self) -> Self {
        self.is_seekable = false;
        self
    }

    /// `head`, then at most `limit` of the bytes that are left; forward only.
    pub(crate) fn with_head(self, head: Vec<u8>, limit: u64) -> Self {
        let rest: Box<dyn Read + Send + Sync> = Box::new(self.take(limit));
        Self {
            inner: Box::new(ReadOnlySource::new(rest)),
            head: Cursor::new(head),
            is_seekable: false,
        }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.head.read(buffer)? {
            0 => self.inner.read(buffer),
            n => Ok(n),
        }
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self.is_seekable {
            true => self.inner.seek(to),
            false => Err(io::Error::from(io::ErrorKind::Unsupported)),
        }
    }
}

impl MediaSource for Source {
    fn is_seekable(&self) -> bool {
        self.is_seekable
    }

    fn byte_len(&self) -> Option<u64> {
        if self.is_seekable {
            self.inner.byte_len()
        } else {
            None
        }
    }
}
