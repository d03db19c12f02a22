//! Cleaning of texts and links from platforms.

use url::Url;

/// Longest stored text, in UTF-16 units. HubSpot's property values end at 65,536 (facts: no length in the published
/// schema), so a longer text could make HubSpot refuse the whole event.
pub const TEXT_MAX: usize = 65_000;

/// Longest stored link, in bytes; browsers and HubSpot's fields are known to accept this length.
const LINK_MAX: usize = 2_048;

/// Query parameters that admit a person or open the room; links are stored without them.
const PERSONAL_PARAMETERS: [&str; 3] = ["pwd", "tk", "zak"];

/// Removes C0 controls except tab and newline, trims, and cuts at [`TEXT_MAX`] UTF-16 units.
#[must_use]
pub fn clean_text(text: &str) -> String {
    let kept = |c: &char| *c >= ' ' || *c == '\t' || *c == '\n';
    let mut room = TEXT_MAX;
    let fits = |c: &char| {
        let left = room.checked_sub(c.len_utf16());
        room = left.unwrap_or_default();
        left.is_some()
    };
    let cleaned: String = text.chars().filter(kept).take_while(fits).collect();
    let trimmed = cleaned.trim();
    if trimmed.len() == cleaned.len() { cleaned } else { trimmed.to_owned() }
}

/// Removes personal parameters and normalizes the link's spelling: it corrects the errors that browsers forgive (line
/// breaks, blanks, no `//`). `None` if a browser would not open it.
#[must_use]
pub fn clean_link(text: &str) -> Option<String> {
    if text.len() > LINK_MAX {
        return None;
    }
    let mut url = Url::parse(text).ok()?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return None;
    }
    if !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let personal = |name: &str| PERSONAL_PARAMETERS.iter().any(|p| name.eq_ignore_ascii_case(p));
    if url.query_pairs().any(|(name, _)| personal(&name)) {
        let rest: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(name, _)| !personal(name))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        url.set_query(None);
        if !rest.is_empty() {
            url.query_pairs_mut().extend_pairs(rest);
        }
    }
    // Percent-encoding of non-ASCII characters makes the link longer.
    Some(String::from(url)).filter(|link| link.len() <= LINK_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_text_removes_controls_and_keeps_lines() {
        assert_eq!(clean_text(" a\u{0}b\u{1b}\tc\nd\r "), "ab\tc\nd");
    }

    #[test]
    fn clean_text_cuts_long_text_at_a_character() {
        let long = "é".repeat(TEXT_MAX + 10);
        assert_eq!(clean_text(&long).chars().count(), TEXT_MAX);
        let long = format!("a{}", "🚀".repeat(TEXT_MAX));
        assert_eq!(clean_text(&long).encode_utf16().count(), TEXT_MAX - 1, "no half character");
    }

    #[test]
    fn clean_link_removes_passwords_and_keeps_the_rest() {
        assert_eq!(
            clean_link("https://zoom.us/j/1?pwd=abc.1&x=a%20b"),
            Some("https://zoom.us/j/1?x=a+b".into())
        );
        assert_eq!(
            clean_link("https://zoom.us/w/1?tk=abc&PWD=x"),
            Some("https://zoom.us/w/1".into())
        );
        assert_eq!(
            clean_link("https://zoom.us/w/1?a=%2F"),
            Some("https://zoom.us/w/1?a=%2F".into())
        );
    }

    #[test]
    fn clean_link_gives_one_spelling_without_breaks_and_blanks() {
        for text in ["https://x.example/a b", " https://x.exa\nmple/a\tb\n", "https:x.example/é"] {
            let link = clean_link(text).expect("browsers open it");
            assert!(link.bytes().all(|byte| byte.is_ascii_graphic()), "{link:?}");
            assert!(link.starts_with("https://x.example/"), "{link:?}");
        }
        let long = format!("https://x.example/{}", "é".repeat(900));
        assert_eq!(clean_link(&long), None, "too long once it is written out");
    }

    #[test]
    fn clean_link_that_no_browser_opens_is_none() {
        for text in [
            "",
            "javascript:alert(1)",
            "ftp://x/y",
            "https://",
            "example.com",
            "https://me:secret@x/",
        ] {
            assert_eq!(clean_link(text), None, "{text}");
        }
    }
}
