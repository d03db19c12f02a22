//! Replaces what differs between two runs. What has not the expected shape stays and makes the snapshot differ.

use jiff::{SignedDuration, Timestamp};
use regex::{Captures, Regex};

use crate::harness::zoom::seconds;

/// A time that the program took from the clock is at most so far from the end of the test.
const RECENT: SignedDuration = SignedDuration::from_hours(1);

/// Remembers ids, so that the same id becomes the same word everywhere in a test.
pub(super) struct Redactor {
    ids: Vec<String>,
    /// Texts of this run (addresses, folders), with the words that replace them.
    texts: Vec<(String, &'static str)>,
    rules: Vec<(Regex, &'static str)>,
    /// Members that hold sentences for people; what they held is kept in `sentences`.
    sentence: Regex,
    sentences: Vec<String>,
    id: Regex,
    time: Regex,
}

impl Redactor {
    pub(super) fn new(texts: Vec<(String, &'static str)>) -> Self {
        let rule = |pattern: &str, word| (regex(pattern), word);
        Self {
            ids: Vec::new(),
            texts,
            rules: vec![
                rule(
                    r#""(bytes|free_bytes|wal_bytes|uptime_seconds|oldest_pending_age_seconds)":\d+"#,
                    r#""$1":[number]"#,
                ),
                rule(r#""skew_seconds":-?\d+\.\d+"#, r#""skew_seconds":[seconds]"#),
                rule(r"\d+ bytes, schema", "[number] bytes, schema"),
                // It is made of the answer and of its time.
                rule(
                    r#"("event_type":"fetched",(?:"events":\[[^\]]*\],)?"hash":")[0-9a-f]{32}""#,
                    r#"$1[hash]""#,
                ),
                rule(
                    r#"\\"at\\":\d{13},\\"asked_at\\":\d{13},"#,
                    r#"\"at\":[milliseconds],\"asked_at\":[milliseconds],"#,
                ),
                rule(r#""next":"[A-Za-z0-9_-]{16,64}""#, r#""next":"[cursor]""#),
                rule(r#""(version|revision)":"[0-9A-Za-z.+-]+""#, r#""$1":"[$1]""#),
            ],
            // A reason with a space in it is a sentence, one without is a code.
            sentence: regex(
                r#""(detail|last_error|problem)":"((?:[^"\\]|\\.)+)"|"(reason)":"((?:[^"\\ ]|\\.)+ (?:[^"\\]|\\.)*)""#,
            ),
            sentences: Vec::new(),
            id: regex(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"),
            time: regex(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3,9})?Z"),
        }
    }

    pub(super) fn redact(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (found, word) in &self.texts {
            text = text.replace(found, word);
        }
        for (rule, word) in &self.rules {
            text = rule.replace_all(&text, *word).into_owned();
        }
        let text = self.redact_sentences(&text);
        let numbered = self.redact_ids(&text);
        let now = Timestamp::from_second(seconds()).expect("the clock is right");
        let dated = self.time.replace_all(&numbered, |found: &Captures<'_>| {
            let recent = found[0].parse::<Timestamp>().is_ok_and(|time| {
                let distance = time.duration_since(now).abs();
                distance < RECENT
            });
            if recent { "[time]".to_owned() } else { found[0].to_owned() }
        });
        dated.into_owned()
    }

    /// The sentences that were replaced since the last call.
    pub(super) fn take_sentences(&mut self) -> Vec<String> {
        std::mem::take(&mut self.sentences)
    }

    /// Replaces sentences alone.
    pub(super) fn redact_sentences(&mut self, text: &str) -> String {
        let sentences = &mut self.sentences;
        let redacted = self.sentence.replace_all(text, |found: &Captures<'_>| {
            let part = |plain, reason| {
                found.get(plain).or(found.get(reason)).map_or("", |part| part.as_str())
            };
            sentences.push(part(2, 4).to_owned());
            format!("\"{}\":\"[sentence]\"", part(1, 3))
        });
        redacted.into_owned()
    }

    /// Replaces ids alone.
    pub(super) fn redact_ids(&mut self, text: &str) -> String {
        let ids = &mut self.ids;
        let numbered = self.id.replace_all(text, |found: &Captures<'_>| {
            let place = ids.iter().position(|id| *id == found[0]).unwrap_or_else(|| {
                ids.push(found[0].to_owned());
                ids.len() - 1
            });
            format!("[id {}]", place + 1)
        });
        numbered.into_owned()
    }
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is valid")
}
