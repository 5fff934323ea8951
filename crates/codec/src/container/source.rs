//! A reader that knows where it is and allocates no more than what comes.

use std::io::{self, Read, Seek, SeekFrom};

use super::ContainerError;

/// Bytes from a reader, counted.
#[derive(Debug)]
pub(crate) struct Source<R> {
    inner: R,
    offset: u64,
}

impl<R> Source<R> {
    pub(crate) fn new(inner: R) -> Source<R> {
        Source { inner, offset: 0 }
    }

    /// Bytes taken so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    fn failed(&self, source: io::Error) -> ContainerError {
        ContainerError::Io {
            offset: self.offset,
            source,
        }
    }
}

impl<R: Read> Source<R> {
    /// Appends up to `count` bytes to `into` and says how many are missing. The buffer grows with what comes, not with
    /// what is asked for.
    pub(crate) fn take(&mut self, count: u64, into: &mut Vec<u8>) -> Result<u64, ContainerError> {
        let before = into.len();
        let read = self.inner.by_ref().take(count).read_to_end(into);
        let taken = (into.len() - before) as u64;
        self.offset += taken;
        match read {
            Ok(_) => Ok(count - taken),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// Appends exactly `count` bytes of a header.
    pub(crate) fn take_header(
        &mut self,
        count: u64,
        into: &mut Vec<u8>,
    ) -> Result<(), ContainerError> {
        match self.take(count, into)? {
            0 => Ok(()),
            missing => Err(ContainerError::TruncatedHeader {
                offset: self.offset,
                missing,
            }),
        }
    }

    /// Checks that nothing follows.
    pub(crate) fn check_end(&mut self) -> Result<(), ContainerError> {
        let offset = self.offset;
        match self.take(1, &mut Vec::new())? {
            0 => Err(ContainerError::Trailing { offset }),
            _ => Ok(()),
        }
    }
}

impl<R: Read + Seek> Source<R> {
    /// Bytes from the beginning to the end of what there is; the place stays.
    pub(crate) fn length(&mut self) -> Result<u64, ContainerError> {
        let at = self.inner.stream_position().map_err(|e| self.failed(e))?;
        let end = self
            .inner
            .seek(SeekFrom::End(0))
            .map_err(|e| self.failed(e))?;
        self.inner
            .seek(SeekFrom::Start(at))
            .map_err(|e| self.failed(e))?;
        Ok(end.saturating_sub(at.saturating_sub(self.offset)))
    }

    /// Goes to byte `offset`.
    pub(crate) fn go_to(&mut self, offset: u64) -> Result<(), ContainerError> {
        let at = self.inner.stream_position().map_err(|e| self.failed(e))?;
        let begin = at.saturating_sub(self.offset);
        let target = SeekFrom::Start(begin.saturating_add(offset));
        self.inner.seek(target).map_err(|e| self.failed(e))?;
        self.offset = offset;
        Ok(())
    }
}
