//! The path of a request to the public listener.

use webinar_bridge::receive::WebhookPath;

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let paths = [
        "/webhooks/acme-zoom",
        "/webhooks/acme-zoom/a-path-token%3D%3d",
        "/webhooks/acme-zoom/a/b//%2f%zz%",
        "/webhooks/../webhooks/%61",
        "/webhooks",
    ];
    paths.map(|path| path.as_bytes().to_vec()).into()
}

pub(super) fn check(data: &[u8]) {
    // The web framework gives UTF-8 only.
    let Ok(path) = std::str::from_utf8(data) else { return };
    let Some(WebhookPath { source, token }) = WebhookPath::parse(path) else {
        assert!(!path.starts_with("/webhooks/"), "{path}");
        return;
    };
    assert!(!source.contains('/'), "{source}");
    let head = format!("/webhooks/{source}");
    let rest = path.strip_prefix(&head).expect("a path begins with its source");
    let Some(token) = token else {
        assert_eq!(rest, "");
        return;
    };
    let raw = rest.strip_prefix('/').expect("a slash precedes the token").as_bytes();
    assert!(token.len() <= raw.len() && raw.len() <= 3 * token.len(), "{raw:?} is {token:?}");
    assert!(raw.contains(&b'%') || *token == *raw, "{raw:?} is {token:?}");
    // A token of which every byte is written as `%XX` is the same token.
    let escaped: Vec<String> = token.iter().map(|byte| format!("%{byte:02X}")).collect();
    let path = format!("{head}/{}", escaped.concat());
    let again = WebhookPath::parse(&path).expect("it is the path of a webhook");
    assert_eq!(again.token.as_deref(), Some(&*token));
}
