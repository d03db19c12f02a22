//! `check`, and the messages about invalid configurations.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use webinar_bridge::clock::SystemClock;
use webinar_bridge::sandbox::emulator::EmulatorSettings;
use webinar_bridge::sandbox::hubspot_server::HubSpotServer;

use super::{config, post, program, run, run_command, store};
use crate::harness::eventually;
use crate::harness::process::{Setting, TOKEN};
use crate::harness::wire::created;

#[tokio::test]
async fn check_prints_what_serve_would_do() {
    let setting = Setting::new("");
    let (config, store) = (config(&setting), store(&setting));
    let absent = run_command(&setting, &["check", "--config", &config]).await;
    let summary = |state: &str| {
        format!("{config}: valid; HubSpot accounts: 1, sources: 1; {store} {state}\n")
    };
    assert_eq!(absent.outputs(), (Some(0), summary("will be made").as_str(), ""));
    assert!(!Path::new(&store).exists(), "check creates no store");
    // The file is found by its default name and by the environment variable.
    let mut named = program(Path::new("/"), &["check"]);
    named.env("BRIDGE_CONFIG", &config);
    assert_eq!(run(named, b"").await.code, Some(0));
    let found = run_command(&setting, &["check"]).await;
    assert_eq!(
        found.outputs(),
        (Some(0), summary("will be made").replace(&config, "bridge.toml").as_str(), "")
    );

    let bridge = setting.start();
    let answer = post(&bridge, &created(1, "A", "")).await;
    assert_eq!(answer.status, 200);
    let while_running = run_command(&setting, &["check", "--config", &config]).await;
    assert_eq!(while_running.outputs(), (Some(0), summary("is ready").as_str(), ""));
    let answer = post(&bridge, &created(2, "B", "")).await;
    assert_eq!(answer.status, 200, "check does not disturb the running bridge");
    // Configurations that `serve` would refuse.
    let mut rekeyed = program(setting.folder.path(), &["check", "--config", &config]);
    rekeyed.env("BRIDGE__SOURCE__ZOOM__EXTERNAL_ACCOUNT_ID", "another");
    let rekeyed = run(rekeyed, b"").await;
    assert_eq!(rekeyed.code, Some(2), "{rekeyed:?}");
    assert!(rekeyed.err.contains("--accept-rekey"), "{rekeyed:?}");
    // The webinars are single: their keys stay the same.
    let mut as_series = program(setting.folder.path(), &["check", "--config", &config]);
    as_series.env("BRIDGE__SOURCE__ZOOM__RECURRING", "series");
    assert_eq!(run(as_series, b"").await.code, Some(0));
    // A second bridge would send everything twice.
    let second = run_command(&setting, &["serve", "--config", &config]).await;
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.err.contains("in use by another process"), "{second:?}");
}

#[tokio::test]
async fn check_reports_every_problem_at_once() {
    let setting = Setting::new("");
    let config = config(&setting);
    fs::write(
        &config,
        "listen.webhooks = \"here\"\n\
         [store]\nkeep_receipts = \"a while\"\n\
         [hubspot.main]\naccess_token = { env = \"NOT_SET\" }\nmax_bach = 5\n\
         base_url = \"http://hubspot.example\"\n\
         [source.a]\nprovider = \"zoom\"\nsecret = { file = \"not-there\" }\n\
         [source.b]\nprovider = \"zom\"\nsecret = \"x\"\nhubspot = \"other\"\n",
    )
    .expect("a file can be written");
    let ran = run_command(&setting, &["check", "--config", &config]).await;
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran:?}");
    for (key, remedy) in [
        ("listen.webhooks", ""),
        ("store.keep_receipts", ""),
        ("hubspot.main.max_bach", "max_batch"),
        ("hubspot.main.base_url", "https"),
        ("source.b.provider", "zoom"),
        ("source.b.hubspot", "main"),
    ] {
        let start = format!("{config}: {key}: ");
        let line = ran.err.lines().find_map(|line| line.strip_prefix(&start));
        let line = line.unwrap_or_else(|| panic!("nothing of {key} in {}", ran.err));
        assert!(line.contains(remedy), "{key}: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_online_calls_hubspot() {
    let setting = Setting::new("");
    let config = config(&setting);
    let arguments = ["check", "--online", "--config", &config];
    let good = run_command(&setting, &arguments).await;
    assert_eq!((good.code, good.err.as_str()), (Some(0), ""), "{good:?}");
    let portal = EmulatorSettings::new("").portal_id;
    let line = format!("hubspot.main: the credentials work; portal {portal}\n");
    assert!(good.out.starts_with(&line), "{good:?}");

    // M22: it reads an event that cannot exist, since the scope for reading is one of its own.
    setting.hubspot.emulator().set_read_status(Some(403));
    let unread = run_command(&setting, &arguments).await;
    assert_eq!((unread.code, unread.out.as_str()), (Some(1), ""), "{unread:?}");
    let scope = "hubspot.main: HubSpot does not show events; add the scope crm.objects.marketing_events.read";
    assert!(unread.err.contains(scope), "{unread:?}");
    setting.hubspot.emulator().set_read_status(None);

    let mut wrong = program(setting.folder.path(), &arguments);
    wrong.env("TEST_TOKEN", "pat-of-somebody-else");
    let wrong = run(wrong, b"").await;
    assert_eq!((wrong.code, wrong.out.as_str()), (Some(1), ""), "{wrong:?}");
    assert!(wrong.err.contains("hubspot.main: HubSpot does not accept"), "{wrong:?}");
    assert!(!wrong.err.contains("pat-of-somebody-else"), "{wrong:?}");

    setting.hubspot.close();
    eventually("no server answers", async || {
        let ran = run_command(&setting, &arguments).await;
        assert!(!ran.err.contains(TOKEN), "{ran:?}");
        ran.code == Some(1)
    })
    .await;
}

/// The token of another account was put in: `serve` would send nothing.
#[tokio::test(flavor = "multi_thread")]
async fn check_online_compares_the_portal_with_that_of_the_store() {
    let setting = Setting::new("");
    let bridge = setting.start();
    assert_eq!(post(&bridge, &created(1, "A", "")).await.status, 200);
    bridge.settled().await;
    let config = config(&setting);
    let arguments = ["check", "--online", "--config", &config];
    assert_eq!(run_command(&setting, &arguments).await.code, Some(0));
    let other = EmulatorSettings { portal_id: 7, ..EmulatorSettings::new(TOKEN) };
    let other = HubSpotServer::open(other, Arc::new(SystemClock)).expect("it listens");
    setting.configure(&setting.hubspot.base_url(), &other.base_url());
    let swapped = run_command(&setting, &arguments).await;
    assert_eq!((swapped.code, swapped.out.as_str()), (Some(1), ""), "{swapped:?}");
    let portal = EmulatorSettings::new("").portal_id;
    for words in ["hubspot.main: ", "portal 7 by", &format!("portal {portal} by"), "/resume"] {
        assert!(swapped.err.contains(words), "{words}: {swapped:?}");
    }
    let offline = run_command(&setting, &["check", "--config", &config]).await;
    assert_eq!(offline.code, Some(0), "{offline:?}");
    other.close();
}

#[tokio::test]
async fn configuration_errors_never_show_secrets() {
    const HIDDEN: &str = "5ecret-which-nobody-may-see";
    let setting = Setting::new("");
    let right = fs::read_to_string(config(&setting)).expect("the file exists");
    let account = "access_token = { env = \"TEST_TOKEN\" }";
    let source = "secret = { env = \"TEST_SECRET\" }";
    let with = |account_now: &str, source_now: &str| {
        assert!(right.contains(account) && right.contains(source));
        right.replace(account, account_now).replace(source, source_now)
    };
    let wrongs = [
        // Not TOML.
        with(&format!("access_token = \"{HIDDEN}"), source),
        with(&format!("access_token = {HIDDEN}"), source),
        with(&format!("access_token = \"{HIDDEN}\" \"{HIDDEN}\""), source),
        with(&format!("access_token = \"\\q{HIDDEN}\""), source),
        with(&format!("access_token = \"{HIDDEN}\"\naccess_token = \"{HIDDEN}\""), source),
        with(HIDDEN, source),
        // TOML, but not a valid configuration.
        with(&format!("access_token = [\"{HIDDEN}\"]"), source),
        with(&format!("access_token = {{ enf = \"{HIDDEN}\" }}"), source),
        with(&format!("access_token = {{ env = \"UNSET\", file = \"{HIDDEN}\" }}"), source),
        with(&format!("acces_token = \"{HIDDEN}\""), source),
        with(&format!("access_token = \"{HIDDEN}\"\nbase_url = \"{HIDDEN}\""), source),
        with(&format!("{account}\noauth = \"{HIDDEN}\""), source),
        with(&format!("oauth = {{ client_id = 5, client_secret = \"{HIDDEN}\" }}"), source),
        with(account, &format!("secret = {{ value = \"{HIDDEN}\" }}")),
        with(account, &format!("secrets = \"{HIDDEN}\"")),
        with(account, &format!("secrets = [[\"{HIDDEN}\"]]")),
        with(account, &format!("{source}\nsecrets = [\"{HIDDEN}\"]")),
        with(account, &format!("secret = \"{HIDDEN}\"\nnonsense = 1")),
        with(account, &format!("{source}\npath_token = [\"{HIDDEN}\"]")),
        with(account, &format!("{source}\npassword = \"{HIDDEN}\"")),
    ];
    for (at, wrong) in wrongs.iter().enumerate() {
        fs::write(config(&setting), wrong).expect("a file can be written");
        for command in ["check", "serve", "migrate"] {
            let ran = run_command(&setting, &[command]).await;
            assert_eq!(ran.code, Some(2), "{command} {at}: {ran:?}");
            assert!(!format!("{ran:?}").contains("5ecret"), "{command} {at}: {ran:?}");
        }
    }
    fs::write(config(&setting), &right).expect("a file can be written");
    for variable in [
        "BRIDGE__HUBSPOT__MAIN__ACCESS_TOKEN__ENF",
        "BRIDGE__HUBSPOT__MAIN__ACCES_TOKEN",
        "BRIDGE__HUBSPOT__MAIN__OAUTH",
        "BRIDGE__SOURCE__ZOOM__SECRETS",
        "BRIDGE__SOURCE__ZOOM__SECRET__",
        "BRIDGE__LISTEN__OPS",
    ] {
        let mut command = program(setting.folder.path(), &["check"]);
        command.env(variable, HIDDEN);
        let ran = run(command, b"").await;
        assert_eq!(ran.code, Some(2), "{variable}: {ran:?}");
        assert!(ran.err.contains(&format!("${variable}")), "{variable}: {ran:?}");
        assert!(!format!("{ran:?}").contains(HIDDEN), "{variable}: {ran:?}");
    }
}
