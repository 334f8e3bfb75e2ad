//! What a crash may leave behind, and what must be found again: processes killed, power cut, journals torn. The short forms run
//! with every test run; `tests/run --soak` (`GRANTKEEPER_SOAK=1`) runs the long ones. `docs/reliability.md` has their figures.

mod child;
mod dice;
mod disk;
mod kill;
mod power_cut;
mod scene;
mod torn_journal;

use std::io::Write as _;

/// Whether the long forms are asked for.
pub(crate) fn is_soak() -> bool {
    std::env::var_os("GRANTKEEPER_SOAK").is_some_and(|value| value != "0" && !value.is_empty())
}

/// Prints a line that is seen also when the test passes: the harness holds back what the print macros write.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
