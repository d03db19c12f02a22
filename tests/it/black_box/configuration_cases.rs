//! Wrong configurations: one valid text, and what each case changes in it.

/// A configuration that is right. The comments are places for more.
pub(super) const BASE: &str = r#"
#top
[listen]
webhooks = "127.0.0.1:8080"
#listen
[store]
url = "sqlite:data/bridge.db"
#store
[hubspot.main]
access_token = { env = "TEST_TOKEN" }
#hubspot
[source.a]
provider = "zoom"
secret = { env = "TEST_SECRET" }
organizer = "Acme GmbH"
#source
#end
"#;

/// A change of the configuration or of the environment.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// Texts of [`BASE`], and what replaces each.
    pub(super) edits: &'static [(&'static str, &'static str)],
    pub(super) variables: &'static [(&'static str, &'static str)],
}

const fn edit(name: &'static str, edits: &'static [(&'static str, &'static str)]) -> Case {
    Case { name, edits, variables: &[] }
}

const fn variable(name: &'static str, variables: &'static [(&'static str, &'static str)]) -> Case {
    Case { name, edits: &[], variables }
}

/// The two lines that make the source one of Zoom's.
const ZOOM: &str = "provider = \"zoom\"\nsecret = { env = \"TEST_SECRET\" }";
const TOKEN: &str = "access_token = { env = \"TEST_TOKEN\" }";
const SECRET: &str = "secret = { env = \"TEST_SECRET\" }";

pub(super) const CASES: &[Case] = &[
    edit("right", &[]),
    variable("right with a variable", &[("BRIDGE__HUBSPOT__MAIN__MAX_BATCH", "7")]),
    // Unknown keys.
    edit("unknown table", &[("#top", "[nonsense]\na = 1")]),
    edit("unknown key at the top", &[("#top", "nonsense = 1")]),
    edit("unknown key of listen", &[("#listen", "webhook = 1")]),
    edit("unknown key of store", &[("#store", "keep = '1d'")]),
    edit("unknown key of hubspot", &[("#hubspot", "max_bach = 5")]),
    edit("unknown key of source", &[("#source", "organiser = 'A'")]),
    edit("unknown key of rate_limit", &[("#hubspot", "rate_limit = { request = 5 }")]),
    edit("unknown word for replays", &[("#source", "replays = 'sometimes'")]),
    edit("later key of ops", &[("#end", "[ops]\napi = 'on'")]),
    // Wrong types.
    edit("number for a text", &[("#source", "event_type = 5")]),
    edit("text for a number", &[("#hubspot", "max_batch = 'many'")]),
    edit("text for a flag", &[("#hubspot", "deliver = 'yes'")]),
    edit("text for a table", &[("#hubspot", "rate_limit = '100/10s'")]),
    edit("table for a text", &[("#source", "event_type = { a = 1 }")]),
    edit("list for a secret", &[(SECRET, "secret = ['a']")]),
    edit("text for a list", &[(SECRET, "secrets = 'a'")]),
    edit("key twice", &[("#listen", "webhooks = \"127.0.0.1:1\"")]),
    edit("source as an array", &[("#end", "[[source.b]]\nprovider = 'zoom'")]),
    // Numbers and sizes.
    edit("batch of none", &[("#hubspot", "max_batch = 0")]),
    edit("batch too large", &[("#hubspot", "max_batch = 101")]),
    edit("nothing in flight", &[("#hubspot", "max_in_flight = 0")]),
    edit("negative number", &[("#hubspot", "max_in_flight = -1")]),
    edit("fraction", &[("#hubspot", "max_batch = 1.5")]),
    edit("size without a unit", &[("#listen", "max_body = '10'")]),
    edit("size of nothing", &[("#listen", "max_body = '0MiB'")]),
    edit("size as a number", &[("#listen", "max_body = 1000")]),
    // Durations.
    edit("duration in words", &[("#store", "keep_receipts = 'a while'")]),
    edit("duration without a unit", &[("#store", "keep_events = '400'")]),
    edit("duration as a number", &[("#listen", "shutdown_timeout = 25")]),
    edit("duration of nothing", &[("#hubspot", "request_timeout = '0s'")]),
    edit("negative duration", &[("#hubspot", "max_linger = '-1s'")]),
    edit("tolerance of nothing", &[("#source", "timestamp_tolerance = '0s'")]),
    edit("receipts kept for nothing", &[("#store", "keep_receipts = '0d'")]),
    // Addresses and URLs.
    edit("address without a port", &[("127.0.0.1:8080", "127.0.0.1")]),
    edit("address as a name", &[("127.0.0.1:8080", "localhost:8080")]),
    edit("both listeners at one address", &[("#listen", "ops = '127.0.0.1:8080'")]),
    edit("base URL that is none", &[("#hubspot", "base_url = 'hubspot'")]),
    edit("base URL without encryption", &[("#hubspot", "base_url = 'http://hubspot.example'")]),
    edit("base URL with a path", &[("#hubspot", "base_url = 'https://hubspot.example/v3'")]),
    edit("base URL with a password", &[("#hubspot", "base_url = 'https://a:b@hubspot.example'")]),
    edit("path prefix without a slash", &[("#hubspot", "path_prefix = 'v3'")]),
    edit("path prefix with dots", &[("#hubspot", "path_prefix = '/v3/..'")]),
    edit("store of PostgreSQL", &[("sqlite:data/bridge.db", "postgres://user@host/db")]),
    edit("store of nothing", &[("sqlite:data/bridge.db", "sqlite:")]),
    edit("store without a scheme", &[("sqlite:data/bridge.db", "data/bridge.db")]),
    // What is missing.
    edit("no account", &[("[hubspot.main]", "[other]")]),
    edit("no source", &[("[source.a]", "[other]")]),
    edit("no token", &[(TOKEN, "")]),
    edit("no provider", &[("provider = \"zoom\"", "")]),
    edit("no secret", &[(SECRET, "")]),
    edit("empty secret", &[(SECRET, "secret = ''")]),
    edit("empty list of secrets", &[(SECRET, "secrets = []")]),
    edit("secret in an unset variable", &[(SECRET, "secret = { env = 'NOT_SET' }")]),
    edit("secret in an absent file", &[(SECRET, "secret = { file = 'not-there' }")]),
    edit("secret of two places", &[(SECRET, "secret = { env = 'TEST_SECRET', file = 'x' }")]),
    edit("secret of a misspelled place", &[(SECRET, "secret = { enf = 'TEST_SECRET' }")]),
    edit("token in an unset variable", &[(TOKEN, "access_token = { env = 'NOT_SET' }")]),
    edit("short path token", &[("#source", "path_token = 'short'")]),
    edit("path token that is no path", &[("#source", "path_token = 'a path with spaces'")]),
    // What contradicts.
    edit("secret and secrets", &[("#source", "secrets = ['a', 'b']")]),
    edit(
        "token and OAuth",
        &[("#hubspot", "oauth = { client_id = 'a', client_secret = 'b', refresh_token = 'c' }")],
    ),
    edit("OAuth without its keys", &[(TOKEN, "oauth = { client_id = 'a' }")]),
    edit("unknown account of a source", &[("#source", "hubspot = 'other'")]),
    edit(
        "two accounts and none chosen",
        &[("#end", "[hubspot.other]\naccess_token = { env = \"TEST_TOKEN\" }")],
    ),
    edit("unknown provider", &[("\"zoom\"", "\"zom\"")]),
    edit("later provider", &[("\"zoom\"", "\"webex\"")]),
    edit("name of an account", &[("[hubspot.main]", "[hubspot.\"Ma in\"]")]),
    edit("name of a source", &[("[source.a]", "[source.\"a/b\"]")]),
    edit("unknown word", &[("#source", "recurring = 'sometimes'")]),
    edit("account id that is none", &[("#source", "external_account_id = ''")]),
    // Expressions.
    edit("filter that does not parse", &[("#source", "only = 'event.name =='")]),
    edit("filter of an unknown variable", &[("#source", "only = 'payload.name == \"a\"'")]),
    edit("filter of an unknown function", &[("#source", "only = 'shout(event.name)'")]),
    edit("filter that is no text", &[("#source", "only = true")]),
    edit(
        "property that does not parse",
        &[("#source", "custom_properties = { a = { cel = '(' } }")],
    ),
    edit(
        "property of an unknown kind",
        &[("#source", "custom_properties = { a = { sql = '1' } }")],
    ),
    edit("property that is a number", &[("#source", "custom_properties = { a = 1 }")]),
    // Tokens of operators.
    edit("auth without a form", &[("#end", "[ops.auth]")]),
    edit(
        "auth of an unknown algorithm",
        &[("#end", "[ops.auth]\njwt = { algorithm = 'none', secret = 'x', audience = 'a' }")],
    ),
    edit(
        "auth without an audience",
        &[(
            "#end",
            "[ops.auth]\njwt = { algorithm = 'HS256', secret = '0123456789abcdef0123456789abcdef' }",
        )],
    ),
    edit(
        "auth of keys without encryption",
        &[(
            "#end",
            "[ops.auth]\njwt = { algorithm = 'RS256', jwks_url = 'http://keys.example', issuer = 'i', audience = 'a' }",
        )],
    ),
    // Each platform's own keys.
    edit("zoom: API without its keys", &[("#source", "api = {}")]),
    edit(
        "zoom: unknown key of the API",
        &[(
            "#source",
            "api = { account_id = 'a', client_id = 'b', client_secret = 'c', user = 'd' }",
        )],
    ),
    edit(
        "zoom: token URL without encryption",
        &[(
            "#source",
            "api = { account_id = 'a', client_id = 'b', client_secret = 'c', token_url = 'http://zoom.example' }",
        )],
    ),
    edit(
        "livestorm: no account id, API without a token",
        &[(ZOOM, "provider = 'livestorm'\nsecret = 'livestorm-secret'\napi = { base_url = 'x' }")],
    ),
    edit("luma: secret of another form", &[(ZOOM, "provider = 'luma'\nsecret = 'not-of-luma'")]),
    edit(
        "luma: unknown signature, API without a key",
        &[(
            ZOOM,
            "provider = 'luma'\nsecret = 'whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY='\nsignature = 'other'\napi = {}",
        )],
    ),
    edit(
        "riverside: API that is not there",
        &[(ZOOM, "provider = 'riverside'\nsecret = 'riverside-secret'\napi = {}")],
    ),
    edit(
        "ticket_tailor: unknown zone",
        &[(
            ZOOM,
            "provider = 'ticket_tailor'\nsecret = 'tickets-secret'\ntime_zone = 'Mars/Olympus'",
        )],
    ),
    edit(
        "eventbrite: secret, no path token, API",
        &[(ZOOM, "provider = 'eventbrite'\nsecret = 'x'\napi = { organization = 'x' }")],
    ),
    edit(
        "bigbluebutton: bearer with a checksum",
        &[(
            ZOOM,
            "provider = 'bigbluebutton'\nsecret = 'bbb-secret'\nauth = 'bearer'\nchecksum = 'sha256'",
        )],
    ),
    edit(
        "bigbluebutton: no callback URL",
        &[(ZOOM, "provider = 'bigbluebutton'\nsecret = 'bbb-secret'\nchecksum = 'sha5'")],
    ),
    edit("wix: secret that is no key", &[(ZOOM, "provider = 'wix'\nsecret = 'not-a-key'")]),
    edit("custom: nothing of its own", &[(ZOOM, "provider = 'custom'")]),
    edit(
        "custom: unknown scheme and field",
        &[(
            ZOOM,
            "provider = 'custom'\nverify = { scheme = 'magic' }\nmap = { event_id = 'payload.id', titel = 'payload.title' }",
        )],
    ),
    edit(
        "custom: expression that does not parse",
        &[(
            ZOOM,
            "provider = 'custom'\nsecret = 'x'\nverify = { scheme = 'hmac', header = 'x-signature' }\nmap = { event_id = 'payload.', name = 'now()' }",
        )],
    ),
    edit(
        "custom: hmac without a header",
        &[(
            ZOOM,
            "provider = 'custom'\nsecret = 'x'\nverify = { scheme = 'hmac', encoding = 'base32', algorithm = 'md5' }\nmap = { event_id = 'payload.id' }",
        )],
    ),
    edit("custom: unknown recipe", &[(ZOOM, "provider = 'custom'\nsecret = 'x'\nrecipe = 'zudl'")]),
    edit(
        "custom: recipe without an account id",
        &[(ZOOM, "provider = 'custom'\nrecipe = 'airmeet'")],
    ),
    edit(
        "several at once",
        &[("#listen", "max_body = 'x'"), ("#hubspot", "max_bach = 5"), ("\"zoom\"", "\"zom\"")],
    ),
    // Variables.
    variable("variable of an unknown key", &[("BRIDGE__HUBSPOT__MAIN__MAX_BACH", "5")]),
    variable("variable of a wrong value", &[("BRIDGE__HUBSPOT__MAIN__MAX_BATCH", "many")]),
    variable("variable of a table", &[("BRIDGE__HUBSPOT__MAIN", "x")]),
    variable("variable below a value", &[("BRIDGE__STORE__URL__PATH", "x")]),
    variable("variable without a key", &[("BRIDGE__", "x")]),
    variable("variable in lower case", &[("BRIDGE__store__url", "sqlite:x.db")]),
    variable(
        "variable of a source that is not there",
        &[("BRIDGE__SOURCE__NOBODY__ORGANIZER", "x")],
    ),
    variable("variable of one underscore", &[("BRIDGE_STORE_URL", "sqlite:x.db")]),
    variable("empty variable", &[("BRIDGE__STORE__URL", "")]),
    variable("log level that is none", &[("BRIDGE_LOG", "loud")]),
    variable("log target of nothing", &[("BRIDGE_LOG", "nothing_here=info")]),
    variable("configuration that is not there", &[("BRIDGE_CONFIG", "not-there.toml")]),
    variable(
        "two wrong variables",
        &[("BRIDGE__LISTEN__OPS", "here"), ("BRIDGE__STORE__MIGRATE", "maybe")],
    ),
];
