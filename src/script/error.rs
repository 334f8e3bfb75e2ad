//! What can go wrong with a script. No message carries a value that a script was given.

use crate::model::{Failure, ScriptName};
use std::fmt;
use std::path::PathBuf;

/// Why a script could not be loaded or its hook did not finish.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// No such script.
    #[error("there is no OAuth API script {name}; put {name}.rhai into the scripts folder, or name one of: {known}")]
    Unknown {
        /// What was asked for.
        name: ScriptName,
        /// The names that there are.
        known: String,
    },
    /// The script has never compiled.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The scripts folder cannot be read.
    #[error("the scripts folder {} cannot be read: {source}; check that it exists and that you may read it", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A limit outside what makes sense.
    #[error("[script] {name} = {given} is out of range; write a number from {least} to {most}")]
    Setting {
        /// The limit.
        name: &'static str,
        /// What was given.
        given: u64,
        /// The least that may be given.
        least: u64,
        /// The most.
        most: u64,
    },
    /// The script ran and broke.
    #[error("{0}")]
    Broke(Box<Broke>),
    /// The script ended its hook with `fail(kind, message)`, outside the reading of a reply.
    #[error("{0}")]
    Declared(Box<Declared>),
    /// No thread came free in time: other scripts hold them all.
    #[error(
        "{script}: {hook} waited {waited_ms} ms for a free script thread; try again, or raise [script] threads if scripts make slow extra calls"
    )]
    Busy {
        /// The script.
        script: ScriptName,
        /// The hook that was to run.
        hook: &'static str,
        /// How long it waited, in milliseconds.
        waited_ms: u64,
    },
    /// The interpreter itself failed; only this call is lost.
    #[error("{script}: {hook} made the interpreter stop; the script's other calls go on, but please report it")]
    Crashed {
        /// The script.
        script: ScriptName,
        /// The hook that ran.
        hook: &'static str,
    },
    /// The system has no thread to spare.
    #[error("the script threads cannot be started: {0}; lower [script] threads or free some memory")]
    Threads(std::io::Error),
}

impl ScriptError {
    /// Whether the same call may succeed later without anybody mending anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Threads(_) => true,
            Self::Declared(declared) => declared.failure.kind.is_retryable(),
            Self::Unknown { .. }
            | Self::Problem(_)
            | Self::Folder { .. }
            | Self::Setting { .. }
            | Self::Broke(_)
            | Self::Crashed { .. } => false,
        }
    }
}

/// A script that does not compile, or a file that is none: where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, or `shipped OAuthX`.
    pub file: String,
    /// The line, from 1, where one is to blame.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// The line itself, at most 200 characters.
    pub source_line: Option<String>,
}

/// As compilers do: `file:line:column: message`, then the line with a caret under the place.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        write!(f, ": {}", self.message)?;
        if let (Some(line), Some(text)) = (self.line, &self.source_line) {
            write!(f, "\n{line:>5} | {text}")?;
            if let Some(column) = self.column {
                write!(f, "\n      | {:>column$}", '^')?;
            }
        }
        Ok(())
    }
}

/// A hook that did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broke {
    /// The script that the application names.
    pub script: ScriptName,
    /// The hook that ran.
    pub hook: String,
    /// The script whose line it is: the same, `OAuthUtil`, or one that it imports.
    pub file: String,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// What happened: a limit with its number, or the interpreter's message without values.
    pub what: String,
    /// Names of what the hook had been given; never values.
    pub given: Vec<String>,
}

impl fmt::Display for Broke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} failed", self.script, self.hook)?;
        if let Some(line) = self.line {
            write!(f, " at line {line}")?;
            if self.file != self.script.as_str() {
                write!(f, " of {}", self.file)?;
            }
        }
        write!(f, ": {}", self.what)?;
        if !self.given.is_empty() {
            write!(f, " (it had been given {})", self.given.join(", "))?;
        }
        Ok(())
    }
}

/// A failure that a script declared with `fail(kind, message)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The script.
    pub script: ScriptName,
    /// The hook that ran.
    pub hook: String,
    /// What it said; treated as if the provider had said it.
    pub failure: Failure,
}

impl fmt::Display for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ended with {}: {}", self.script, self.hook, self.failure.kind, self.failure)
    }
}
