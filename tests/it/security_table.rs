//! `SECURITY.md` names the test of each defence: the tests are there.

use std::path::Path;

#[test]
fn every_test_that_the_security_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let mut sources = String::new();
    for folder in ["src", "tests/it"] {
        read(&root.join(folder), &mut sources);
    }
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Defended"));
    let tests: Vec<&str> = rows
        .flat_map(|row| row.split('|').nth(3).unwrap_or_default().split('`').skip(1).step_by(2).collect::<Vec<_>>())
        .collect();
    assert!(tests.len() > 50, "{}", tests.len());
    let missing: Vec<_> = tests.iter().filter(|test| !sources.contains(&format!("fn {test}("))).collect();
    assert!(missing.is_empty(), "SECURITY.md names tests that are not there: {missing:?}");
}

fn read(folder: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, sources);
        } else if path.extension().is_some_and(|end| end == "rs") {
            sources.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
