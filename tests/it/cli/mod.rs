//! The command line, as a person or a script has it: the built binary, run on a machine of its own.

mod applications;
mod backup;
mod consent;
mod events;
mod exec;
mod grants;
mod home;
mod interrupts;
mod keys;
mod moving;
mod output;
mod recording;
mod scripts;
mod tokens;
