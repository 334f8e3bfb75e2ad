//! A machine of its own for the binary: a temporary home, and nothing of the real one.

use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder that the binary takes for the person's home.
pub(crate) struct Machine {
    folder: tempfile::TempDir,
}

/// What a run of the binary came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Machine {
    /// Without a Grantkeeper home.
    pub(crate) fn bare() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With a Grantkeeper home.
    pub(crate) fn new() -> Self {
        let machine = Self::bare();
        machine.run(&["init"]).done();
        machine
    }

    /// A place on this machine.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the home is when nobody says.
    pub(crate) fn home(&self) -> PathBuf {
        self.path("data/grantkeeper")
    }

    /// The key file of that home.
    pub(crate) fn key_file(&self) -> PathBuf {
        let folder = std::fs::read_dir(self.path("config/grantkeeper")).unwrap();
        let files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The binary with arguments, ready to be run. The environment is empty but for what points into this machine.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grantkeeper"));
        self.settle(&mut command);
        command.args(arguments);
        command
    }

    /// A shell line on this machine; `$GRANTKEEPER` is the binary.
    pub(crate) fn shell(&self, line: &str) -> Ran {
        Ran::of(self.shell_command(line).output().unwrap())
    }

    /// The same, ready to be run.
    pub(crate) fn shell_command(&self, line: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        self.settle(&mut command);
        command.env("GRANTKEEPER", env!("CARGO_BIN_EXE_grantkeeper")).args(["-c", line]);
        command
    }

    /// Runs the binary with nothing on its standard input.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "")
    }

    /// Runs the binary with a text on its standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // One that does not read its input may have ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Ran::of(child.wait_with_output().unwrap())
    }

    fn settle(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .env("XDG_DATA_HOME", self.path("data"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("TZ", "UTC")
            // Tests run side by side, and the usual port is one.
            .env("GRANTKEEPER_LISTEN", "off")
            .current_dir(self.folder.path());
    }
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What was printed by a command that did what it should.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// The document that was printed by a command that did what it should.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.done()).unwrap()
    }

    /// The sentence of a command that failed with a code and printed nothing.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.out, "", "a command that fails prints no result");
        self.err
    }
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
