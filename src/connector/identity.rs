//! Whose account a connection is of: it does not change unasked.

use super::Error;
use crate::exchange::Whose;
use crate::model::{Account, Connection, quoted};

/// The account that a connection is of after a consent; refused where it would be another one than before. A connection
/// has one name for whoever uses its tokens: were they suddenly somebody else's, files would go into a stranger's drive.
///
/// The tokens that came and are refused are not revoked at the provider: many have one grant for each person and
/// application, and it may be the one that another connection lives on.
pub(super) fn whose_account(
    connection: &Connection,
    whose: &Whose,
    other_account: bool,
) -> Result<Option<Account>, Error> {
    let held = connection.account.as_ref().filter(|_| !other_account);
    match (whose, held) {
        (Whose::Known(given), Some(held)) if !held.is_same(given) => Err(Error::OtherAccount {
            connection: connection.name.clone(),
            held: quoted(&held.to_string()),
            given: quoted(&given.to_string()),
        }),
        // Otherwise another account would come in whenever userinfo does not answer, or with a profile without `openid`.
        (Whose::Unknown(why), Some(held)) => Err(Error::UnknownAccount {
            connection: connection.name.clone(),
            held: quoted(&held.to_string()),
            why: quoted(why),
        }),
        (Whose::Known(given), _) => Ok(Some(given.clone())),
        (Whose::Unknown(_), _) => Ok(None),
    }
}
