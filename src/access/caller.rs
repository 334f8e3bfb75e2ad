//! Who asks, and whether they may.

use crate::model::{Allowance, ApiKey, ApplicationName, ConnectionName};
use std::sync::Arc;
use uuid::Uuid;

/// Somebody who asks, known to the door that they came through. A key that is expired or revoked never becomes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The user whose home this is, at the command line or the unix socket.
    Owner {
        /// Their process, where the system says it.
        process: Option<u32>,
    },
    /// Who holds an API key.
    Key(Arc<ApiKey>),
    /// Who signed in at the pages.
    Session {
        /// As whom: the administrator, or an API key by its name.
        who: Arc<str>,
        /// The API key that the session was begun with, where it was.
        key: Option<Uuid>,
    },
}

/// What must be allowed for something to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need<'a> {
    /// Being handed the token of a connection, reporting it rejected, sending requests with it.
    Token(&'a ConnectionName),
    /// Seeing and changing a connection.
    Manage(&'a ConnectionName),
    /// Seeing and changing a whole application with all its connections.
    ManageApplication(&'a ApplicationName),
    /// What concerns everybody: keys, the audit log, the store.
    Administer,
    /// Nothing but being known.
    Known,
}

impl Caller {
    /// Whether the caller may. `manage` does not include `token`: who sees to a connection is not shown its token. The owner and who
    /// signed in at the pages may do everything.
    #[must_use]
    pub fn may(&self, need: &Need<'_>) -> bool {
        match self {
            Self::Owner { .. } | Self::Session { .. } => true,
            Self::Key(key) => {
                matches!(need, Need::Known) || key.allowances.iter().any(|allowance| satisfies(allowance, need))
            }
        }
    }

    /// Whether there may be a connection or an application that the caller may see: for who need not even look where there is none.
    #[must_use]
    pub fn may_see_some(&self) -> bool {
        match self {
            Self::Owner { .. } | Self::Session { .. } => true,
            Self::Key(key) => key.allowances.iter().any(|allowance| !matches!(allowance, Allowance::Token(_))),
        }
    }
}

fn satisfies(allowance: &Allowance, need: &Need<'_>) -> bool {
    match (allowance, need) {
        (Allowance::Administer, _) => true,
        (Allowance::Token(reach), Need::Token(connection)) | (Allowance::Manage(reach), Need::Manage(connection)) => {
            reach.covers(connection)
        }
        (Allowance::Manage(reach), Need::ManageApplication(application)) => reach.covers_application(application),
        (Allowance::Token(_) | Allowance::Manage(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use proptest::prelude::*;

    fn key(allowances: &[&str]) -> Caller {
        Caller::Key(Arc::new(ApiKey {
            id: Uuid::nil(),
            name: "k".parse().unwrap(),
            allowances: allowances.iter().map(|text| text.parse().unwrap()).collect(),
            created: Timestamp::UNIX_EPOCH,
            expires: None,
            revoked: None,
            last_used: None,
        }))
    }

    #[test]
    fn a_token_right_hands_out_tokens_and_does_nothing_else() {
        let (name, application) = ("drive/reports".parse().unwrap(), "drive".parse().unwrap());
        let caller = key(&["token:drive/*"]);
        assert!(caller.may(&Need::Token(&name)) && caller.may(&Need::Known));
        assert!(!caller.may(&Need::Manage(&name)) && !caller.may(&Need::ManageApplication(&application)));
        assert!(!caller.may(&Need::Administer) && !caller.may(&Need::Token(&"slack/reports".parse().unwrap())));
        assert!(!caller.may_see_some() && key(&["token:a/*", "manage:drive/reports"]).may_see_some());
    }

    #[test]
    fn a_manage_right_does_not_show_a_token() {
        let (name, application) = ("drive/reports".parse().unwrap(), "drive".parse().unwrap());
        let whole = key(&["manage:*"]);
        assert!(whole.may(&Need::Manage(&name)) && whole.may(&Need::ManageApplication(&application)));
        assert!(!whole.may(&Need::Token(&name)) && !whole.may(&Need::Administer));
        let one = key(&["manage:drive/reports"]);
        assert!(one.may(&Need::Manage(&name)) && !one.may(&Need::ManageApplication(&application)));
    }

    #[test]
    fn a_key_without_an_allowance_may_do_nothing_but_be_known() {
        let (name, application) = ("a/b".parse().unwrap(), "a".parse().unwrap());
        let caller = key(&[]);
        assert!(caller.may(&Need::Known));
        for need in [Need::Token(&name), Need::Manage(&name), Need::ManageApplication(&application), Need::Administer] {
            assert!(!caller.may(&need), "{need:?}");
        }
    }

    #[test]
    fn the_owner_a_session_and_an_administrator_may_do_everything() {
        let (name, application) = ("a/b".parse().unwrap(), "a".parse().unwrap());
        for caller in
            [Caller::Owner { process: None }, Caller::Session { who: "admin".into(), key: None }, key(&["administer"])]
        {
            for need in [
                Need::Token(&name),
                Need::Manage(&name),
                Need::ManageApplication(&application),
                Need::Administer,
                Need::Known,
            ] {
                assert!(caller.may(&need), "{caller:?} {need:?}");
            }
        }
    }

    fn allowance() -> impl Strategy<Value = String> {
        "(token|manage):(\\*|[ab]/(\\*|[xy]))|administer"
    }

    proptest! {
        /// What a key may do is what its allowances say one by one, whatever their order, and nothing more.
        #[test]
        fn a_key_may_do_what_one_of_its_allowances_says_and_no_more(
            texts in proptest::collection::vec(allowance(), 0..4),
            application in "[ab]",
            requestor in "[xy]",
        ) {
            let name: ConnectionName = format!("{application}/{requestor}").parse().unwrap();
            let of: ApplicationName = application.parse().unwrap();
            let caller = key(&texts.iter().map(String::as_str).collect::<Vec<_>>());
            let has = |text: String| texts.contains(&text);
            let all = has("administer".to_owned());
            let reaches = |right: &str| {
                all || has(format!("{right}:*")) || has(format!("{right}:{application}/*")) || has(format!("{right}:{name}"))
            };
            prop_assert_eq!(caller.may(&Need::Token(&name)), reaches("token"));
            prop_assert_eq!(caller.may(&Need::Manage(&name)), reaches("manage"));
            let whole = all || has("manage:*".to_owned()) || has(format!("manage:{application}/*"));
            prop_assert_eq!(caller.may(&Need::ManageApplication(&of)), whole);
            prop_assert_eq!(caller.may(&Need::Administer), all);
            prop_assert!(caller.may(&Need::Known));
        }
    }
}
