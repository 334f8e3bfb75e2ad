//! Hashes, signatures, secrets, comparison. A secret is a handle: functions here take it, and no text of it comes out.

use super::formats::either_base64;
use crate::script::call::{Answer, Limit, SECRET_IN_TEXT, current, error, stop};
use crate::script::values::{Handle, bytes_of, to_json};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rhai::{Blob, Dynamic, Engine, ImmutableString, Map};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Handle>("Secret");
    engine.register_fn("secret", secret);
    // Without these, Rhai would join the word "Secret" to a text.
    engine.register_fn("+", |_: ImmutableString, _: Handle| -> Answer<ImmutableString> { Err(no_text()) });
    engine.register_fn("+", |_: Handle, _: ImmutableString| -> Answer<ImmutableString> { Err(no_text()) });
    // Rhai swallows the error of this one, in a text with ${…}: so the chain ends.
    engine.register_fn("to_string", |_: &mut Handle| -> Answer<ImmutableString> { Err(stop(Limit::SecretInText)) });
    engine.register_fn("+=", |_: &mut ImmutableString, _: Handle| -> Answer<()> { Err(no_text()) });
    engine.register_fn("sha256", |value: Dynamic| -> Answer<Blob> { Ok(Sha256::digest(&*bytes_of(&value)?).to_vec()) });
    engine.register_fn("hmac_sha256", |key: Dynamic, message: Dynamic| -> Answer<Blob> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&bytes_of(&key)?).map_err(|_| error("that key does not fit"))?;
        mac.update(&bytes_of(&message)?);
        Ok(mac.finalize().into_bytes().to_vec())
    });
    engine.register_fn("rsa_sha256", |key: Dynamic, message: Dynamic| -> Answer<Blob> {
        let key = key_for(&key, Algorithm::RS256)?;
        let signature = jsonwebtoken::crypto::sign(&bytes_of(&message)?, &key, Algorithm::RS256)
            .map_err(|_| error("the signature could not be made; look at the key"))?;
        either_base64(&signature).ok_or_else(|| error("the signature could not be read"))
    });
    engine.register_fn("sign_jwt", |claims: Map, key: Dynamic, algorithm: &str| {
        sign_jwt(claims, &key, algorithm, &Map::new())
    });
    engine.register_fn("sign_jwt", |claims: Map, key: Dynamic, algorithm: &str, header: Map| {
        sign_jwt(claims, &key, algorithm, &header)
    });
    engine.register_fn("same", |one: Dynamic, other: Dynamic| -> Answer<bool> {
        Ok(bytes_of(&one)?.ct_eq(&bytes_of(&other)?).into())
    });
    engine.register_fn("uuid", || uuid::Uuid::new_v4().to_string());
}

fn no_text() -> Box<rhai::EvalAltResult> {
    error(SECRET_IN_TEXT)
}

/// The secret of a name, as a handle.
fn secret(name: &str) -> Answer<Handle> {
    let call = current()?;
    let secrets = &call.start.context.secrets;
    secrets.get(name).cloned().map(Handle).ok_or_else(|| {
        let known: Vec<&str> = secrets.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        error(format!("the application has no secret {name}; it has: {known}"))
    })
}

fn sign_jwt(claims: Map, key: &Dynamic, algorithm: &str, further: &Map) -> Answer<String> {
    let algorithm: Algorithm = algorithm.parse().map_err(|_| {
        error("sign_jwt knows HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA")
    })?;
    let key = key_for(key, algorithm)?;
    let mut header = Header::new(algorithm);
    for (name, value) in further {
        let text =
            || value.as_immutable_string_ref().map(|text| text.to_string()).map_err(|_| error("a text is wanted"));
        match name.as_str() {
            "kid" => header.kid = Some(text()?),
            "typ" => header.typ = Some(text()?),
            "x5t" => header.x5t = Some(text()?),
            "x5t#S256" => header.x5t_s256 = Some(text()?),
            _ => return Err(error("the header of a JWT takes kid, typ, x5t and x5t#S256 here")),
        }
    }
    let claims = to_json(&Dynamic::from_map(claims))?;
    let token = jsonwebtoken::encode(&header, &claims, &key)
        .map_err(|_| error("the JWT could not be signed; look at the key"))?;
    current()?.masks.borrow_mut().add(&token);
    Ok(token)
}

fn key_for(key: &Dynamic, algorithm: Algorithm) -> Answer<EncodingKey> {
    let bytes = bytes_of(key)?;
    let made = match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Ok(EncodingKey::from_secret(&bytes)),
        Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(&bytes),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&bytes),
        _ => EncodingKey::from_rsa_pem(&bytes),
    };
    made.map_err(|_| error("that key does not fit the algorithm: a private key in PEM is wanted"))
}
