//! The word that was probably meant.

/// The candidate nearest to a word, when one is near: at most a third of its letters differ. Case does not count, and `-`
/// and `_` are the same.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    // A long text is no mistyped word, and comparing it costs its length times ours.
    if word.len() > 64 {
        return None;
    }
    let word = plain(word);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&word, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_found_and_a_far_one_is_not() {
        let known = ["client_id", "client_secret", "pkce"];
        assert_eq!(nearest("clientid", known).as_deref(), Some("client_id"));
        assert_eq!(nearest("Client-Secret", known).as_deref(), Some("client_secret"));
        assert_eq!(nearest("pcke", known).as_deref(), Some("pkce"));
        assert_eq!(nearest("banana", known), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), known), None);
    }
}
