//! The limits that every script runs in: the `[script]` part of `grantkeeper.toml`.

use super::ScriptError;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Limits of scripts, the same in debug and release builds. All of them count for one hook with all it calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Steps of the interpreter. A usual hook takes under 1,000.
    pub operations: u64,
    /// Functions calling functions.
    pub call_depth: usize,
    /// Bytes of one text, and of all texts in one value. A reply's body may be 1 MiB.
    pub string_size: usize,
    /// Items of an array, those of arrays within it included.
    pub array_size: usize,
    /// Members of a map, those of maps within it included.
    pub map_size: usize,
    /// Bytes that a hook may write or copy in all: what it can hold at one time is less.
    pub memory: u64,
    /// Bytes of a script file.
    pub source_size: usize,
    /// Milliseconds from the moment a hook is asked for, waiting for a thread and extra calls included.
    pub deadline_ms: u64,
    /// Threads that run scripts. One script has at most half of them, so that a slow one leaves room for others.
    pub threads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            operations: 500_000,
            call_depth: 32,
            string_size: 1 << 20,
            array_size: 4096,
            map_size: 4096,
            memory: 128 << 20,
            source_size: 64 << 10,
            deadline_ms: 5_000,
            threads: 8,
        }
    }
}

impl Settings {
    /// Refuses a limit that is none (0 means "no limit" to Rhai) or that this machine's stack could not keep.
    pub(super) fn checked(self) -> Result<Self, ScriptError> {
        let ranges: [(&'static str, u64, u64, u64); 9] = [
            ("operations", self.operations, 1_000, 100_000_000),
            // More would need larger stacks than the threads have.
            ("call_depth", self.call_depth as u64, 4, 64),
            ("string_size", self.string_size as u64, 4 << 10, 16 << 20),
            ("array_size", self.array_size as u64, 16, 100_000),
            ("map_size", self.map_size as u64, 16, 100_000),
            ("memory", self.memory, 1 << 20, 1 << 30),
            ("source_size", self.source_size as u64, 1 << 10, 1 << 20),
            ("deadline_ms", self.deadline_ms, 10, 60_000),
            ("threads", self.threads as u64, 1, 64),
        ];
        match ranges.into_iter().find(|&(_, given, least, most)| !(least..=most).contains(&given)) {
            Some((name, given, least, most)) => Err(ScriptError::Setting { name, given, least, most }),
            None => Ok(self),
        }
    }

    /// How long a hook may take.
    pub(super) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_nothing_is_refused_and_says_what_would_do() {
        let error = Settings { operations: 0, ..Settings::default() }.checked().unwrap_err();
        assert_eq!(error.to_string(), "[script] operations = 0 is out of range; write a number from 1000 to 100000000");
        assert!(Settings::default().checked().is_ok());
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        assert!(toml::from_str::<Settings>("operations = 2000").is_ok());
        assert!(toml::from_str::<Settings>("operation = 2000").is_err());
    }
}
