//! What a field's name, and the names that it stands under, say that its value is.

use crate::oauth::Value;

/// The words of a path: `data.accessTokenExpiresIn` is `data` and `access token expires in`.
#[derive(Debug, Clone)]
pub(super) struct Words {
    own: Vec<String>,
    above: Vec<String>,
}

impl Words {
    pub(super) fn of(path: &[String]) -> Self {
        // A number of a list item says nothing; what the list is called does.
        let mut names = path.iter().rev().filter(|step| step.parse::<usize>().is_err());
        let own = names.next().map(|name| split(name)).unwrap_or_default();
        let above = names.take(2).flat_map(|name| split(name)).collect();
        Self { own, above }
    }

    /// The words of its own name.
    pub(super) fn own(&self) -> &[String] {
        &self.own
    }

    /// Its own name without what separates words.
    pub(super) fn flat(&self) -> String {
        self.own.concat()
    }

    fn has(&self, word: &str) -> bool {
        self.own.iter().any(|own| own == word)
    }

    fn has_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.has(word))
    }

    /// Whether it, or what it stands in, is about refresh tokens.
    fn is_of_refresh(&self) -> bool {
        let flat = self.flat();
        flat.contains("refresh")
            || self.has_any(&["re", "rt", "renewal", "renew"])
            || self.above.iter().any(|word| word.contains("refresh"))
    }
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Access,
    Refresh,
}

/// What a field's names say it to be, and how surely, up to about 120. The value only has to be able to be a token.
pub(super) fn token_role(words: &Words, value: &Value) -> Option<(Role, i32)> {
    let text = value.as_str().filter(|text| can_be_token(text))?;
    let flat = words.flat();
    if words.has_any(&NOT_A_TOKEN) || NOT_A_TOKEN_FLAT.iter().any(|part| flat.contains(part)) {
        return None;
    }
    let of_refresh = words.is_of_refresh();
    let within = |word: &str| words.above.iter().any(|above| above.contains(word));
    let by_name = ACCESS_NAMES.iter().find(|(name, _)| *name == flat).map(|(_, score)| *score);
    let by_name = by_name
        .or_else(|| (flat.ends_with("accesstoken") || flat.starts_with("accesstoken")).then_some(90))
        .or_else(|| (flat.ends_with("token") || flat.ends_with("jwt")).then_some(62))
        // What stands in something called a token may be called anything.
        .or_else(|| (VALUE_NAMES.contains(&flat.as_str()) && (within("token") || within("jwt"))).then_some(70));
    if of_refresh {
        let named = flat.contains("token") || flat.contains("jwt") || flat == "refresh" || by_name.is_some();
        return named.then_some((Role::Refresh, if flat.contains("refresh") { 100 } else { 80 }));
    }
    // A short word under a weak name is a name of something, not a token.
    let score = by_name.filter(|score| *score >= 60 || looks_random(text))?;
    Some((Role::Access, score + if within("access") { 15 } else { 0 } + if is_jwt(text) { 5 } else { 0 }))
}

/// Whose lifetime a field is, and how surely.
pub(super) fn time_role(words: &Words) -> Option<(Role, i32)> {
    let flat = words.flat();
    let lifetime = flat.contains("expir")
        || words.has_any(&["exp", "ttl", "lifetime", "validity"])
        || flat.contains("lifetime")
        || (words.has("valid") && words.has_any(&["until", "to", "for", "thru", "through", "seconds"]))
        || (words.has("max") && words.has("age"));
    if !lifetime || words.has_any(&NOT_A_LIFETIME) {
        return None;
    }
    let role = if words.is_of_refresh() { Role::Refresh } else { Role::Access };
    // `id_token_expires_in`.
    if words.has("id") && words.has("token") {
        return None;
    }
    let score = match flat.as_str() {
        "expiresin" => 100,
        _ if flat.contains("accesstoken") => 105,
        _ if flat.starts_with("expiresin") || flat.starts_with("expirein") || flat.ends_with("expiresin") => 98,
        "expiresat" | "expireson" | "expireat" => 90,
        "expires" => 88,
        "exp" => 70,
        _ => 80,
    };
    Some((role, score))
}

/// Whether a field lists scopes, and how surely.
pub(super) fn scope_score(words: &Words) -> Option<i32> {
    Some(match words.flat().as_str() {
        "scope" => 100,
        "scopes" => 98,
        "grantedscopes" | "grantedscope" | "scopelist" | "scp" | "oauthscopes" | "tokenscope" | "tokenscopes" => 90,
        "permissions" | "grantedpermissions" | "permission" => 70,
        _ => return None,
    })
}

/// Whether a field names an error, and how surely.
pub(super) fn error_score(words: &Words) -> Option<i32> {
    let flat = words.flat();
    let within = words.above.iter().any(|word| word.starts_with("error") || word == "err" || word == "fault");
    let score = match flat.as_str() {
        "error" => 100,
        "errorcode" | "errcode" | "errorno" | "errno" => 95,
        "subcode" | "suberror" | "errortype" | "serviceerrorcode" => 85,
        "code" | "resultcode" | "returncode" | "retcode" | "respcode" | "responsecode" | "rescode" => 75,
        "ret" | "rc" | "result" | "errorid" | "type" if within || flat != "type" => 60,
        "status" | "statuscode" => 50,
        _ if flat.ends_with("errorcode") => 90,
        _ => return None,
    };
    Some(score + if within { 15 } else { 0 })
}

/// Whether a field tells people what went wrong, and how surely.
pub(super) fn words_score(words: &Words) -> Option<i32> {
    let within = words.above.iter().any(|word| word.starts_with("error") || word == "err" || word == "fault");
    let score = match words.flat().as_str() {
        "errordescription" | "errordesc" => 100,
        "errormessage" | "errormsg" | "errmsg" | "errmessage" => 95,
        "message" | "msg" | "resultmessage" | "resultmsg" | "respmsg" | "retmsg" | "statusmessage" => 80,
        "description" | "desc" | "detail" | "details" | "reason" => 70,
        "faultstring" | "text" | "title" | "info" => 50,
        _ => return None,
    };
    Some(score + if within { 15 } else { 0 })
}

/// Whether a name says that its value is secret, whatever it is.
pub(super) fn is_secret(words: &Words) -> bool {
    let flat = words.flat();
    SECRET_PARTS.iter().any(|part| flat.contains(part))
        && !(words.has("type") || words.has("url") || words.has("endpoint"))
        || matches!(flat.as_str(), "sid" | "sig" | "sign" | "nonce" | "state" | "jti" | "pin" | "otp" | "key" | "kid")
}

/// Whether the values of a field are for people to read: the words of an error, the scopes.
#[must_use]
pub fn is_public_name(name: &str) -> bool {
    let words = Words::of(&[name.to_owned()]);
    is_public(&words) && !is_secret(&words)
}

/// Whether a name is one whose values people have to see: what went wrong, what was granted.
pub(super) fn is_public(words: &Words) -> bool {
    let flat = words.flat();
    flat.starts_with("error")
        || error_score(words).is_some()
        || words_score(words).is_some()
        || scope_score(words).is_some()
        || PUBLIC_NAMES.contains(&flat.as_str())
}

/// Whether a name is one of a person's things.
pub(super) fn is_personal(words: &Words) -> bool {
    const PARTS: [&str; 52] = [
        "name",
        "mail",
        "login",
        "phone",
        "mobile",
        "address",
        "street",
        "city",
        "company",
        "org",
        "team",
        "workspace",
        "account",
        "avatar",
        "picture",
        "photo",
        "birth",
        "gender",
        "user",
        "person",
        "owner",
        "first",
        "last",
        "nick",
        "id",
        "sub",
        "tenant",
        "domain",
        "site",
        "shop",
        "customer",
        "contact",
        "member",
        "employee",
        "family",
        "given",
        "display",
        "full",
        "alias",
        "handle",
        "creator",
        "author",
        "manager",
        "merchant",
        "seller",
        "store",
        "business",
        "brand",
        "label",
        "slug",
        "subject",
        "client",
    ];
    words.own.iter().any(|word| PARTS.iter().any(|part| word == part || (part.len() > 3 && word.contains(part))))
}

/// Whether the value of a code says that it worked.
pub(super) fn says_success(value: &Value) -> bool {
    match value {
        Value::Number(number) => matches!(number.as_u64(), Some(0 | 200)),
        Value::Bool(on) => *on,
        Value::String(text) => {
            let text = text.trim().to_ascii_lowercase();
            (!text.is_empty() && text.bytes().all(|b| b == b'0'))
                || matches!(text.as_str(), "200" | "ok" | "success" | "succeeded" | "approved" | "true")
        }
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}

/// Whether an `Authorization` header could carry a text (RFC 6750 section 2.1).
pub(super) fn can_be_token(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Three parts of base64url, the first of which begins as JSON does.
pub(super) fn is_jwt(text: &str) -> bool {
    let part = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=".contains(&b));
    let parts: Vec<&str> = text.trim().split('.').collect();
    parts.len() == 3 && parts[0].starts_with("e") && parts[0].len() >= 4 && parts.iter().all(|text| part(text))
}

/// A long run of letters and digits, as no word and no address is.
pub(super) fn looks_random(text: &str) -> bool {
    let text = text.trim();
    let letters = text.contains(|c: char| c.is_ascii_alphabetic());
    let digits = text.contains(|c: char| c.is_ascii_digit());
    text.len() >= 16
        && letters
        && digits
        && !text.contains("://")
        && !text.contains(['@', '{', '[', '<', '"'])
        && can_be_token(text)
}

/// `accessTokenTTL`, `access_token-ttl` and `AccessTokenTtl` as `access token ttl`.
fn split(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let chars: Vec<char> = name.chars().take(LONGEST_NAME).collect();
    let mut fresh = true;
    for (at, &c) in chars.iter().enumerate() {
        if !c.is_ascii_alphanumeric() {
            fresh = true;
            continue;
        }
        let before = at.checked_sub(1).map(|at| chars[at]);
        let upper_begins = c.is_ascii_uppercase()
            && (before.is_some_and(|before| before.is_ascii_lowercase() || before.is_ascii_digit())
                || chars.get(at + 1).is_some_and(char::is_ascii_lowercase));
        if fresh || upper_begins {
            words.push(String::new());
        }
        fresh = false;
        if let Some(word) = words.last_mut() {
            word.push(c.to_ascii_lowercase());
        }
    }
    words
}

/// Longest name that is looked at, in characters.
const LONGEST_NAME: usize = 80;
const ACCESS_NAMES: [(&str, i32); 24] = [
    ("accesstoken", 100),
    ("oauthaccesstoken", 98),
    ("accesstokenvalue", 96),
    ("accessjwt", 96),
    ("useraccesstoken", 94),
    ("oauthtoken", 90),
    ("bearertoken", 88),
    ("authtoken", 86),
    ("authenticationtoken", 86),
    ("authorizationtoken", 84),
    ("jwttoken", 82),
    ("token", 80),
    ("jwt", 80),
    ("apitoken", 78),
    ("tokenvalue", 78),
    ("bearer", 76),
    ("access", 74),
    ("sessiontoken", 70),
    ("securitytoken", 66),
    ("sessionid", 50),
    ("ticket", 50),
    ("authkey", 45),
    ("accesskey", 45),
    ("apikey", 40),
];
/// Names of the value of something that is itself called a token.
const VALUE_NAMES: [&str; 10] = ["value", "id", "text", "hash", "content", "data", "string", "key", "raw", "t"];
/// Words of names whose values look like tokens and are none that a call could use.
const NOT_A_TOKEN: [&str; 17] = [
    "type",
    "secret",
    "id_token",
    "csrf",
    "xsrf",
    "device",
    "push",
    "page",
    "next",
    "sync",
    "continuation",
    "verification",
    "verify",
    "expires",
    "expiry",
    "endpoint",
    "url",
];
const NOT_A_TOKEN_FLAT: [&str; 4] = ["idtoken", "expir", "tokentype", "scope"];
const SECRET_PARTS: [&str; 17] = [
    "token",
    "secret",
    "passw",
    "pwd",
    "verifier",
    "challenge",
    "assertion",
    "credential",
    "signature",
    "session",
    "cookie",
    "apikey",
    "private",
    "authcode",
    "ticket",
    "devicecode",
    "usercode",
];
const PUBLIC_NAMES: [&str; 16] = [
    "tokentype",
    "granttype",
    "responsetype",
    "responsemode",
    "ok",
    "success",
    "object",
    "authtype",
    "alg",
    "typ",
    "version",
    "prompt",
    "accesstype",
    "codechallengemethod",
    "clientassertiontype",
    "currency",
];
/// Words of names whose values are times of something else.
const NOT_A_LIFETIME: [&str; 14] = [
    "issued",
    "created",
    "nbf",
    "iat",
    "ext",
    "consent",
    "code",
    "device",
    "password",
    "subscription",
    "trial",
    "card",
    "account",
    "license",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn words(path: &str) -> Words {
        Words::of(&path.split('.').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn names_are_taken_apart_however_they_are_written() {
        for name in ["accessTokenTTL", "access_token_ttl", "AccessToken-Ttl", "ACCESS_TOKEN_TTL"] {
            assert_eq!(words(name).own(), ["access", "token", "ttl"], "{name}");
        }
        assert_eq!(words("tokens.0.JWTToken").own(), ["jwt", "token"]);
    }

    #[test]
    fn tokens_are_told_by_their_names() {
        let role = |path: &str| token_role(&words(path), &"abc123".into()).map(|(role, _)| role);
        for access in
            ["access_token", "data.accessToken", "token", "jwt", "OAuth.AccessToken", "access.token.id", "myToken"]
        {
            assert_eq!(role(access), Some(Role::Access), "{access}");
        }
        for refresh in ["refresh_token", "refreshToken", "tokens.refresh.token", "refresh"] {
            assert_eq!(role(refresh), Some(Role::Refresh), "{refresh}");
        }
        for none in ["id_token", "idToken", "token_type", "name", "csrf_token", "next_page_token", "oauth_token_secret"]
        {
            assert_eq!(role(none), None, "{none}");
        }
        assert_eq!(token_role(&words("access_token"), &"two words".into()), None);
    }

    #[test]
    fn lifetimes_are_told_by_their_names() {
        let role = |path: &str| time_role(&words(path)).map(|(role, _)| role);
        for access in
            ["expires_in", "expireIn", "accessTokenExpiresIn", "ttl", "validUntil", "token.expires", "Expiration"]
        {
            assert_eq!(role(access), Some(Role::Access), "{access}");
        }
        for refresh in ["refresh_expires_in", "re_expires_in", "x_refresh_token_expires_in", "refresh.expires"] {
            assert_eq!(role(refresh), Some(Role::Refresh), "{refresh}");
        }
        for none in ["ext_expires_in", "id_token_expires_in", "created_at", "issued_at", "experience"] {
            assert_eq!(role(none), None, "{none}");
        }
    }
}
