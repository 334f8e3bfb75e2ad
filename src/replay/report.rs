//! What a replay found: what was expected beside what was there, with no secret in it.

use serde::Serialize;

/// What a replay found. Values of secrets are named in it and not shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was compared, in the order in which it happened.
    pub sections: Vec<Section>,
}

/// One thing that was compared: the authorization URL, a request, a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Section {
    /// Which.
    pub title: String,
    /// Its parts.
    pub lines: Vec<Line>,
}

/// One part of what was compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Which.
    pub what: String,
    /// What the fixture says; nothing where it says nothing.
    pub expected: Option<String>,
    /// What was there.
    pub actual: Option<String>,
    /// Whether they differ. What the fixture says nothing of does not.
    pub differs: bool,
}

/// Something that is not as the fixture says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What was looked at.
    pub what: String,
    /// What the fixture says.
    pub expected: String,
    /// What was there.
    pub actual: String,
}

impl Report {
    /// Whether everything was as the fixture says.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.differences().next().is_none()
    }

    /// What was not as the fixture says.
    pub fn differences(&self) -> impl Iterator<Item = Difference> {
        let shown = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".to_owned());
        self.sections.iter().flat_map(move |section| {
            section.lines.iter().filter(|line| line.differs).map(move |line| Difference {
                what: format!("{}: {}", section.title, line.what),
                expected: shown(&line.expected),
                actual: shown(&line.actual),
            })
        })
    }
}

impl Section {
    /// Whether a part of it differs.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.lines.iter().any(|line| line.differs)
    }
}
