//! Bytes of a capture, from a file or as somebody writes them into a pipe.

use std::fs::File;
use std::io::{self, Read};

use crate::reactor::Async;

/// A capture, open.
pub(crate) struct CaptureReader {
    source: ByteSource,
    /// The first bytes, read to know the content, and how many of them are still to be handed out.
    first: heapless::Vec<u8, 4>,
    left: usize,
}

enum ByteSource {
    /// Read directly: it does not block for long.
    File(File),
    /// Read when there is something.
    Pipe(Async<File>),
}

impl CaptureReader {
    /// Of a file.
    pub(crate) fn of_file(file: File) -> Self {
        CaptureReader::new(ByteSource::File(file))
    }

    /// Of a pipe, or of whatever standard input is.
    ///
    /// # Errors
    ///
    /// When the reactor refuses it.
    pub(crate) fn of_pipe(file: File) -> io::Result<Self> {
        if file.metadata()?.is_file() {
            return Ok(CaptureReader::of_file(file));
        }
        Ok(CaptureReader::new(ByteSource::Pipe(Async::new(file)?)))
    }

    fn new(source: ByteSource) -> Self {
        CaptureReader { source, first: heapless::Vec::new(), left: 0 }
    }

    /// The first four bytes, or fewer of a shorter capture; they are read again. To be called before anything
    /// is read.
    ///
    /// # Errors
    ///
    /// Those of the source.
    pub(crate) async fn peek(&mut self) -> io::Result<&[u8]> {
        if let ByteSource::Pipe(pipe) = &self.source {
            // Until somebody opens it to write, a read would tell of an end.
            pipe.readable().await?;
        }
        while !self.first.is_full() {
            let mut byte = [0];
            if self.source.read(&mut byte).await? == 0 {
                break;
            }
            let _ = self.first.extend_from_slice(&byte);
        }
        self.left = self.first.len();
        Ok(&self.first)
    }

    /// Reads some bytes; 0 at the end.
    ///
    /// # Errors
    ///
    /// Those of the source.
    pub(crate) async fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let first = self.first.get(self.first.len() - self.left..).unwrap_or_default();
        let number = first.len().min(room.len());
        if let (Some(front), true) = (room.get_mut(..number), number > 0) {
            front.copy_from_slice(first.get(..number).unwrap_or_default());
            self.left -= number;
            return Ok(number);
        }
        self.source.read(room).await
    }
}

impl ByteSource {
    async fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            ByteSource::File(file) => file.read(room),
            ByteSource::Pipe(pipe) => pipe.read_with(|mut pipe| pipe.read(room)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::OwnedFd;

    #[test]
    fn the_first_bytes_are_read_twice() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"capture").unwrap();
        drop(writer);
        let mut reader = CaptureReader::of_pipe(File::from(OwnedFd::from(reader))).unwrap();
        crate::reactor::block_on(async {
            assert_eq!(reader.peek().await.unwrap(), b"capt");
            let (mut read, mut room) = (Vec::new(), [0; 3]);
            loop {
                let number = reader.read(&mut room).await.unwrap();
                if number == 0 {
                    break;
                }
                read.extend_from_slice(&room[..number]);
            }
            assert_eq!(read, b"capture");
        });
    }
}
