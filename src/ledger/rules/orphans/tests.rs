use super::*;
use crate::event::Policy;
use crate::event::policy::tests::policy;

fn source(name: &str) -> SourceName {
    SourceName::parse(name).expect("valid")
}

fn account(name: &str) -> AccountName {
    AccountName::parse(name).expect("valid")
}

fn policies(names: &[&str]) -> Policies {
    names.iter().map(|name| (source(name), policy())).collect()
}

/// A10, M30.
#[test]
fn new_source_of_the_same_platform_is_refused_unless_it_is_an_heir() {
    let known = KnownNames { sources: [source("old"), source("older")].into(), accounts: None };
    let orphans = Orphans {
        sources: [(source("old"), Some(policy().provider))].into(),
        accounts: BTreeSet::new(),
    };
    let check = |policies: &Policies, heirs: &Heirs| {
        orphans.check(&known, policies, &[account("main")], heirs)
    };
    let none = Heirs::default();
    let refused = check(&policies(&["new"]), &none).expect_err("it may be renamed");
    assert_eq!(refused, ConfigRefused::Source { gone: source("old"), new: source("new") });
    assert!(refused.to_string().contains("formerly = [\"old\"] in [source.new]"));
    assert_eq!(check(&policies(&["older"]), &none), Ok(()), "it was there before");
    let mut custom = policies(&["new"]);
    for policy in custom.values_mut() {
        *policy = Policy { provider: ProviderId::new("custom"), ..policy.clone() };
    }
    assert_eq!(check(&custom, &none), Ok(()), "it is of another platform");
    let sources = [(source("older"), source("new"))].into();
    let heirs = Heirs { sources, ..Heirs::default() };
    assert_eq!(check(&policies(&["new"]), &heirs), Ok(()), "it is another one's heir");
    assert_eq!(orphans.warnings().len(), 1);
}

/// B6, M30.
#[test]
fn new_account_is_refused_unless_it_is_an_heir() {
    let known = KnownNames {
        sources: BTreeSet::new(),
        accounts: Some([account("old"), account("b")].into()),
    };
    let orphans = Orphans { accounts: [account("old")].into(), ..Orphans::default() };
    let check = |known: &KnownNames, accounts: &[&str], heirs: &Heirs| {
        let accounts: Vec<_> = accounts.iter().map(|name| account(name)).collect();
        orphans.check(known, &policies(&["zoom"]), &accounts, heirs)
    };
    let none = Heirs::default();
    let refused = check(&known, &["b", "new"], &none).expect_err("it may be renamed");
    assert_eq!(refused, ConfigRefused::Account { gone: account("old"), new: account("new") });
    assert_eq!(check(&known, &["b"], &none), Ok(()));
    let unknown = KnownNames { accounts: None, ..known.clone() };
    assert_eq!(check(&unknown, &["new"], &none), Ok(()), "an earlier version opened it last");
    let accounts = [(account("older"), account("new"))].into();
    assert_eq!(check(&known, &["new"], &Heirs { accounts, ..Heirs::default() }), Ok(()));
}
