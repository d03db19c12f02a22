//! Templates of signed messages: `{timestamp}.{body}`.

/// A signed message with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageTemplate(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Placeholder(Placeholder),
}

/// A placeholder of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// The raw body.
    Body,
    /// The time as written in the request.
    Timestamp,
    /// The secret.
    Secret,
    /// The delivery's id.
    Id,
    /// The endpoint's URL as registered at the platform.
    Url,
}

/// Values of the placeholders, without the secret.
#[derive(Clone, Copy)]
pub struct MessageValues<'a> {
    /// The raw body.
    pub body: &'a [u8],
    /// The time as written in the request.
    pub timestamp: &'a [u8],
    /// The delivery's id.
    pub id: &'a [u8],
    /// The endpoint's URL as registered at the platform.
    pub url: &'a [u8],
}

impl Placeholder {
    const ALL: [(&'static str, Self); 5] = [
        ("body", Self::Body),
        ("timestamp", Self::Timestamp),
        ("secret", Self::Secret),
        ("id", Self::Id),
        ("url", Self::Url),
    ];
}

impl MessageTemplate {
    /// Parses a template with the placeholders `body` (required, once), `timestamp`, `secret`, `id` and `url` in
    /// braces.
    ///
    /// # Errors
    /// The error, as the rest of a sentence that begins with the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let Some((name, behind)) = after.split_once('}') else {
                return Err("has a { without a }".to_owned());
            };
            let Some((_, hole)) = Placeholder::ALL.iter().find(|(known, _)| *known == name) else {
                return Err(format!(
                    "has {{{name}}}, which is no placeholder. There are {{body}}, {{timestamp}}, {{id}}, {{url}} \
                     and {{secret}}"
                ));
            };
            parts.push(Part::Placeholder(*hole));
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let template = Self(parts);
        match template.count(Placeholder::Body) {
            1 => Ok(template),
            _ => Err("must hold {body} once: an unsigned body could come from anybody".to_owned()),
        }
    }

    /// Whether the template has this placeholder.
    #[must_use]
    pub fn contains(&self, hole: Placeholder) -> bool {
        self.count(hole) > 0
    }

    fn count(&self, hole: Placeholder) -> usize {
        self.0.iter().filter(|part| **part == Part::Placeholder(hole)).count()
    }

    /// The message, in parts.
    #[must_use]
    pub fn parts<'a>(&'a self, values: &MessageValues<'a>, secret: &'a [u8]) -> Vec<&'a [u8]> {
        let part = |part: &'a Part| match part {
            Part::Text(text) => text.as_bytes(),
            Part::Placeholder(Placeholder::Body) => values.body,
            Part::Placeholder(Placeholder::Timestamp) => values.timestamp,
            Part::Placeholder(Placeholder::Secret) => secret,
            Part::Placeholder(Placeholder::Id) => values.id,
            Part::Placeholder(Placeholder::Url) => values.url,
        };
        self.0.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fill_in_the_placeholders() {
        let template =
            MessageTemplate::parse("v0:{timestamp}{secret}.{id}!{body}{url}").expect("valid");
        let values = MessageValues { body: b"BODY", timestamp: b"1", id: b"ID", url: b"URL" };
        assert_eq!(template.parts(&values, b"S").concat(), b"v0:1S.ID!BODYURL");
        assert!(template.contains(Placeholder::Secret));
        let body = MessageTemplate::parse("{body}").expect("valid");
        assert_eq!(body.parts(&values, b"S"), [b"BODY"]);
        assert!(!body.contains(Placeholder::Secret));
    }

    #[test]
    fn invalid_templates_are_refused_with_a_reason() {
        for (text, what) in [
            ("", "must hold {body} once"),
            ("{timestamp}", "must hold {body} once"),
            ("{body}{body}", "must hold {body} once"),
            ("{body", "has a { without a }"),
            ("{body}.{time}", "has {time}, which is no placeholder"),
        ] {
            let error = MessageTemplate::parse(text).expect_err("not a template");
            assert!(error.starts_with(what), "{text}: {error}");
        }
    }
}
