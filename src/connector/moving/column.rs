//! The names that a file of grants may use, the same in CSV and JSON lines.

use crate::registry::nearest;

/// What a cell of a line is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    Profile,
    RefreshToken,
    RefreshExpiresAt,
    AccessToken,
    ExpiresAt,
    TokenType,
    Scopes,
    Account,
    AccountName,
    Label(String),
    Field(String),
    /// All labels, in JSON.
    Labels,
    /// All fields, in JSON.
    Fields,
}

/// The names that stand alone.
const NAMES: [(&str, Column); 10] = [
    ("name", Column::Name),
    ("profile", Column::Profile),
    ("refresh_token", Column::RefreshToken),
    ("refresh_expires_at", Column::RefreshExpiresAt),
    ("access_token", Column::AccessToken),
    ("expires_at", Column::ExpiresAt),
    ("token_type", Column::TokenType),
    ("scopes", Column::Scopes),
    ("account", Column::Account),
    ("account_name", Column::AccountName),
];

impl Column {
    /// The column that a CSV header's cell names.
    pub(super) fn of_csv(name: &str) -> Result<Self, String> {
        let known = "label:KEY, field:KEY";
        match name.split_once(':') {
            Some(("label", key)) if !key.is_empty() => Ok(Self::Label(key.to_owned())),
            Some(("field", key)) if !key.is_empty() => Ok(Self::Field(key.to_owned())),
            _ => Self::plain(name, known),
        }
    }

    /// The column that a member of a JSON object names.
    pub(super) fn of_json(name: &str) -> Result<Self, String> {
        match name {
            "labels" => Ok(Self::Labels),
            "fields" => Ok(Self::Fields),
            _ => Self::plain(name, "labels, fields"),
        }
    }

    /// The words for it in a message.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Label(_) => "a label",
            Self::Field(_) => "a field",
            Self::Labels => "labels",
            Self::Fields => "fields",
            plain => NAMES.iter().find(|(_, column)| column == plain).map_or("a cell", |(name, _)| name),
        }
    }

    /// A file without a header has a token where a name should be: what is not known is never repeated, only what it may
    /// have been meant for.
    fn plain(name: &str, further: &str) -> Result<Self, String> {
        if let Some((_, column)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(column.clone());
        }
        Err(match nearest(name, NAMES.map(|(known, _)| known)) {
            Some(meant) => format!("is none that is known; did you mean {meant}?"),
            None => {
                format!("is none that is known; there are {}, {further}", NAMES.map(|(known, _)| known).join(", "))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_is_not_known_is_never_repeated_and_a_near_one_is_told() {
        assert_eq!(Column::of_csv("label:team"), Ok(Column::Label("team".to_owned())));
        assert_eq!(Column::of_csv("field:realmId"), Ok(Column::Field("realmId".to_owned())));
        assert!(Column::of_csv("refreshtoken").unwrap_err().contains("did you mean refresh_token?"));
        let far = Column::of_csv("1//0g-marked-token").unwrap_err();
        assert!(!far.contains("marked") && far.contains("field:KEY"), "{far}");
        assert!(Column::of_csv("labels").is_err() && Column::of_csv("label:").is_err());
        assert_eq!(Column::of_json("labels"), Ok(Column::Labels));
        assert!(Column::of_json("label:team").is_err());
    }
}
