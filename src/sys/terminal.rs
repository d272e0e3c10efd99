//! The terminal this process runs in: keys one by one, and a screen of its own.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::reactor::Async;
use nix::libc;
use nix::sys::termios::{InputFlags, LocalFlags, OutputFlags, SetArg, Termios, tcgetattr, tcsetattr};

/// The controlling terminal, with its own descriptor, which alone does not block. As long as it lives the
/// keys come unechoed and one by one, and what is written goes to the alternate screen; dropped, everything
/// is as before.
pub(crate) struct Terminal {
    file: Async<File>,
    /// As we found it.
    before: Termios,
}

/// Alternate screen, no cursor, no automatic line breaks; the mouse's buttons, of which the wheel is two, in
/// the form without limits.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?1000h\x1b[?1006h\x1b[2J";
/// The reverse.
const LEAVE: &[u8] = b"\x1b[0m\x1b[?1006l\x1b[?1000l\x1b[?7h\x1b[?25h\x1b[?1049l";

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    ///
    /// This process has none.
    pub(crate) fn take() -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open("/dev/tty")?;
        let before = tcgetattr(&file)?;
        let mut raw = before.clone();
        // No line editing, no echo, no signals from keys, no translation of line breaks in either way.
        raw.local_flags &= !(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG | LocalFlags::IEXTEN);
        raw.input_flags &= !(InputFlags::ICRNL | InputFlags::INLCR | InputFlags::IXON);
        raw.output_flags &= !OutputFlags::OPOST;
        tcsetattr(&file, SetArg::TCSAFLUSH, &raw)?;
        let terminal = Terminal { file: Async::new_nonblocking(file)?, before };
        let _ = terminal.file.get_ref().write(ENTER)?;
        Ok(terminal)
    }

    /// Columns and rows; 80 and 24 when the terminal does not know.
    pub(crate) fn size(&self) -> (usize, usize) {
        let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: TIOCGWINSZ writes one `winsize` to where it is told, which is borrowed for writing here;
        // the descriptor is open as long as `self` lives.
        let asked = unsafe { libc::ioctl(self.file.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
        match (asked, size.ws_col, size.ws_row) {
            (0, 1.., 1..) => (usize::from(size.ws_col), usize::from(size.ws_row)),
            _ => (80, 24),
        }
    }

    /// Waits for keys; how many bytes came. 0: the terminal is gone.
    ///
    /// # Errors
    ///
    /// Those of the terminal.
    pub(crate) async fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        self.file.read_with(|mut file| file.read(room)).await
    }

    /// Writes all of a text.
    ///
    /// # Errors
    ///
    /// Those of the terminal.
    pub(crate) async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.file.write_with(|mut file| file.write(bytes)).await?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The last frame may still fill the terminal's buffer: wait for it, but not for ever.
        for _ in 0..20 {
            match self.file.get_ref().write(LEAVE) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(std::time::Duration::from_millis(50));
                }
                _ => break,
            }
        }
        let _ = tcsetattr(self.file.get_ref(), SetArg::TCSADRAIN, &self.before);
    }
}
