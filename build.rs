//! Builds again when a catalog entry or a fixture is added or removed: `include_dir` alone only notices changes to entries that it knew.

fn main() {
    println!("cargo:rerun-if-changed=src/registry/catalog");
    println!("cargo:rerun-if-changed=fixtures");
}
