//! Judging, pinning, moving; certificates and lists are made here.

mod made;

use std::path::Path;

use super::*;
use crate::Application;
use made::{Maker, NOW, day};

const SERVER: Peer<'static> = Peer { application_uri: Some("urn:plc"), host: Some("plc.example") };

/// A folder, an authority `root`, one below it, `plant`, and a server's certificate that `plant` has signed.
struct Site {
    _folder: tempfile::TempDir,
    pki: Pki,
    maker: Maker,
    root: Certificate,
    plant: Certificate,
    server: Certificate,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let maker = Maker::new();
        let root = maker.authority("CN=root", 1).sign(&maker.root, "CN=root");
        let plant = maker.authority("CN=plant", 2).sign(&maker.root, "CN=root");
        let server = maker.server("CN=plc", 3).sign(&maker.plant, "CN=plant");
        Self { pki: Pki::new(folder.path().join("pki")), _folder: folder, maker, root, plant, server }
    }

    fn put(&self, shelf: Shelf, certificates: &[&Certificate]) {
        for certificate in certificates {
            self.pki.put(certificate, shelf).unwrap();
        }
    }

    fn judge(&self, certificate: &Certificate) -> Result<(), Refusal> {
        refusal(self.pki.judge(certificate.der(), &SERVER, NOW).unwrap())
    }
}

fn refusal(trust: Trust) -> Result<(), Refusal> {
    match trust {
        Trust::Trusted | Trust::Pinned(_) => Ok(()),
        Trust::Refused(refused) => Err(refused.refusal),
    }
}

#[test]
fn a_certificate_is_believed_by_itself_or_through_its_authorities() {
    let site = Site::new();
    assert_eq!(site.judge(&site.server), Err(Refusal::IssuerUnknown { issuer: "CN=plant".into() }));
    site.put(Shelf::Trusted, &[&site.root]);
    assert!(matches!(site.judge(&site.server), Err(Refusal::IssuerUnknown { .. })), "who is between is not known");
    site.put(Shelf::Issuers, &[&site.plant]);
    site.judge(&site.server).unwrap();
    site.pki.put(&site.root, Shelf::Issuers).unwrap();
    assert_eq!(site.judge(&site.server), Err(Refusal::Unknown), "an authority that is only known is not trusted");
    site.put(Shelf::Trusted, &[&site.plant]);
    site.judge(&site.server).expect("what is above a trusted authority does not matter");
    site.pki.put(&site.plant, Shelf::Rejected).unwrap();
    site.put(Shelf::Trusted, &[&site.server]);
    site.judge(&site.server).expect("a person has chosen exactly this one");
}

#[test]
fn authorities_that_come_with_a_certificate_lead_to_a_trusted_one_but_are_not_trusted() {
    let site = Site::new();
    let shown = [site.server.der(), site.plant.der()].concat();
    let judge = || refusal(site.pki.judge(&shown, &SERVER, NOW).unwrap());
    assert!(matches!(judge(), Err(Refusal::IssuerUnknown { .. })));
    let everything = [site.server.der(), site.plant.der(), site.root.der()].concat();
    assert_eq!(refusal(site.pki.judge(&everything, &SERVER, NOW).unwrap()), Err(Refusal::Unknown));
    site.put(Shelf::Trusted, &[&site.root]);
    judge().unwrap();
}

#[test]
fn authorities_that_have_all_signed_each_other_are_judged_in_no_time() {
    let site = Site::new();
    let maker = site.maker.clone();
    let authorities = |count| (0..count).map(|n| maker.authority("CN=plant", 10 + n).sign(&maker.plant, "CN=plant"));
    let strangers: Vec<_> = authorities(20).collect();
    let shown: Vec<u8> = std::iter::once(&site.server).chain(&strangers).flat_map(|one| one.der().to_vec()).collect();
    let (judged, answer) = std::sync::mpsc::channel();
    let pki = site.pki.clone();
    // Not waited for where it takes longer: each order of them is a way up, and there are billions.
    std::thread::spawn(move || judged.send(refusal(pki.judge(&shown, &SERVER, NOW).unwrap())));
    let refused = answer.recv_timeout(std::time::Duration::from_secs(60)).expect("it is judged at last");
    assert!(matches!(refused, Err(Refusal::Unknown | Refusal::Usage { .. })), "{refused:?}");
}

#[test]
fn a_way_that_ends_does_not_hide_another_one() {
    let site = Site::new();
    let maker = &site.maker;
    // By six others `last` is so high that nothing may be above it; by itself it is not.
    let names = ["CN=plant", "CN=a", "CN=b", "CN=c", "CN=d", "CN=e", "CN=f", "CN=last"];
    let above = |(name, next): (&&str, &&str)| maker.authority(name, 20).sign(&maker.plant, next);
    let mut issuers: Vec<_> = names.iter().zip(names.iter().skip(1)).map(above).collect();
    issuers.push(maker.authority("CN=last", 21).sign(&maker.root, "CN=root"));
    issuers.push(maker.authority("CN=plant", 22).sign(&maker.plant, "CN=last"));
    let list = TrustList { trusted: vec![site.root.clone()], issuers, ..TrustList::default() };
    list.judge(&site.server, &[], &SERVER, NOW).unwrap();
}

#[test]
fn through_an_authority_everything_must_fit() {
    let site = Site::new();
    let maker = &site.maker;
    site.put(Shelf::Trusted, &[&site.root, &site.plant]);
    let signed = |made: made::Made| made.sign(&maker.plant, "CN=plant");
    let subject = || "CN=plc".to_owned();
    let forged = maker.server("CN=plc", 3).sign(&maker.server, "CN=plant");
    let by_no_authority = {
        let press = signed(maker.server("CN=press", 9));
        site.put(Shelf::Issuers, &[&press]);
        maker.server("CN=plc", 3).sign(&maker.server, "CN=press")
    };
    let below_a_last_one = {
        let last = maker.authority("CN=last", 7).no_authority_below().sign(&maker.root, "CN=root");
        let further = maker.authority("CN=further", 8).sign(&maker.plant, "CN=last");
        site.put(Shelf::Issuers, &[&last, &further]);
        maker.server("CN=plc", 3).sign(&maker.plant, "CN=further")
    };
    for (certificate, wanted) in [
        (forged, Refusal::Signature { subject: subject() }),
        (by_no_authority, Refusal::NoAuthority { issuer: "CN=press".into() }),
        (below_a_last_one, Refusal::Usage { what: "so long a chain of authorities below `CN=last`".into() }),
        (signed(maker.server("CN=plc", 3).valid(day(-9), day(-1))), Refusal::Expired { subject: subject() }),
        (signed(maker.server("CN=plc", 3).valid(day(1), day(9))), Refusal::NotYetValid { subject: subject() }),
        (
            signed(maker.server("CN=plc", 3).application("urn:other")),
            Refusal::Application { found: "urn:other".into(), wanted: "urn:plc".into() },
        ),
        (signed(maker.server("CN=plc", 3).host("press.example")), Refusal::Host { host: "plc.example".into() }),
        (signed(maker.server("CN=plc", 3).for_clients()), Refusal::Usage { what: "servers".into() }),
    ] {
        assert_eq!(site.judge(&certificate), Err(wanted));
    }
    let old = maker.authority("CN=old", 5).valid(day(-9), day(-1)).sign(&maker.root, "CN=root");
    site.put(Shelf::Trusted, &[&old]);
    let below = maker.server("CN=plc", 3).sign(&maker.plant, "CN=old");
    assert_eq!(site.judge(&below), Err(Refusal::Expired { subject: "CN=old".into() }));
}

#[test]
fn names_do_not_matter_for_one_that_a_person_has_chosen_but_its_time_does() {
    let site = Site::new();
    let elsewhere =
        site.maker.server("CN=plc", 3).host("10.0.0.1").application("urn:x").sign(&site.maker.plant, "CN=plant");
    let old = site.maker.server("CN=old", 4).valid(day(-9), day(-1)).sign(&site.maker.plant, "CN=plant");
    site.put(Shelf::Trusted, &[&elsewhere, &old]);
    site.judge(&elsewhere).unwrap();
    assert_eq!(site.judge(&old), Err(Refusal::Expired { subject: "CN=old".into() }));
}

#[test]
fn what_was_revoked_is_refused_whoever_trusts_it() {
    let site = Site::new();
    let maker = &site.maker;
    site.put(Shelf::Trusted, &[&site.root]);
    site.put(Shelf::Issuers, &[&site.plant]);
    let forged = maker.revocations("CN=plant", &maker.server, &[3]);
    site.pki.put_list(&forged).unwrap();
    site.judge(&site.server).expect("a list that another key has signed says nothing");
    let other = maker.revocations("CN=plant", &maker.plant, &[4, 5]);
    site.pki.put_list(&other).unwrap();
    site.judge(&site.server).expect("others were revoked");
    site.pki.put_list(&maker.revocations("CN=plant", &maker.plant, &[4, 3])).unwrap();
    let revoked = Err(Refusal::Revoked { subject: "CN=plc".into(), issuer: "CN=plant".into() });
    assert_eq!(site.judge(&site.server), revoked);
    site.put(Shelf::Trusted, &[&site.server]);
    assert_eq!(site.judge(&site.server), revoked, "even by itself");

    std::fs::remove_dir_all(site.pki.shelf(Shelf::Revocations)).unwrap();
    site.judge(&site.server).unwrap();
    site.put(Shelf::Trusted, &[&site.plant]);
    site.pki.put_list(&maker.revocations("CN=root", &maker.root, &[2])).unwrap();
    let revoked = Err(Refusal::Revoked { subject: "CN=plant".into(), issuer: "CN=root".into() });
    assert_eq!(site.judge(&site.server), revoked, "an authority too");
}

#[test]
fn a_file_among_the_lists_that_is_none_is_named() {
    let site = Site::new();
    std::fs::create_dir_all(site.pki.shelf(Shelf::Revocations)).unwrap();
    std::fs::write(site.pki.shelf(Shelf::Revocations).join("odd.crl"), "odd").unwrap();
    let error = site.pki.judge(site.server.der(), &SERVER, NOW).unwrap_err().to_string();
    assert!(error.contains("odd.crl") && error.contains("replace it or take it away"), "{error}");
}

#[test]
fn the_first_certificate_of_a_source_is_pinned_and_another_later_is_refused() {
    let site = Site::new();
    let first = &site.server;
    let other = site.maker.server("CN=plc", 30).sign(&site.maker.plant, "CN=plant");
    let judge = |certificate: &Certificate| site.pki.judge_or_pin("a/b", certificate.der(), &SERVER, NOW).unwrap();
    let old = site.maker.server("CN=plc", 31).valid(day(-9), day(-1)).sign(&site.maker.plant, "CN=plant");
    assert_eq!(refusal(judge(&old)), Err(Refusal::Expired { subject: "CN=plc".into() }), "it is not worth a pin");
    assert_eq!(judge(first), Trust::Pinned(site.pki.pin_of("a/b")));
    assert_eq!(judge(first), Trust::Trusted);
    assert_eq!(refusal(judge(&old)), Err(Refusal::Expired { subject: "CN=plc".into() }), "trusting it would not help");
    let pinned = first.thumbprint().short().to_owned();
    let Trust::Refused(refused) = judge(&other) else { panic!("another certificate") };
    assert_eq!(refused.refusal, Refusal::NotPinned { pinned });
    let said = refused.to_string();
    assert!(said.ends_with(&format!("move it to `{}`", site.pki.trusted_dir().display())), "{said}");
    assert!(
        refusal(
            site.judge(first).map_or_else(|_| site.pki.judge(first.der(), &SERVER, NOW).unwrap(), |()| Trust::Trusted)
        )
        .is_err(),
        "it is for its source alone"
    );
    assert_eq!(site.pki.judge_or_pin("b", other.der(), &SERVER, NOW).unwrap(), Trust::Pinned(site.pki.pin_of("b")));
    site.put(Shelf::Trusted, &[&other]);
    assert_eq!(judge(&other), Trust::Trusted, "a person may think otherwise");
    site.put(Shelf::Issuers, &[&site.plant]);
    site.pki.put_list(&site.maker.revocations("CN=plant", &site.maker.plant, &[3])).unwrap();
    assert!(matches!(refusal(judge(first)), Err(Refusal::Revoked { .. })), "a pin outlives no revocation");
}

#[test]
fn what_a_person_has_rejected_is_refused_whoever_vouches_for_it() {
    let site = Site::new();
    site.put(Shelf::Trusted, &[&site.root, &site.plant]);
    site.judge(&site.server).unwrap();
    site.pki.put(&site.server, Shelf::Denied).unwrap();
    assert_eq!(site.judge(&site.server), Err(Refusal::Denied));
    let judged = site.pki.judge_or_pin("a", site.server.der(), &SERVER, NOW).unwrap();
    assert!(matches!(&judged, Trust::Refused(refused) if refused.to_string().contains("watchfire certs trust")));
    assert!(!site.pki.pin_of("a").exists(), "it is not pinned either");
    site.pki.put(&site.server, Shelf::Trusted).unwrap();
    assert_eq!(site.judge(&site.server), Ok(()), "the person has thought again");
    site.pki.put(&site.plant, Shelf::Denied).unwrap();
    let other = site.maker.server("CN=plc", 30).sign(&site.maker.plant, "CN=plant");
    assert!(matches!(site.judge(&other), Err(Refusal::IssuerUnknown { .. })), "nor is what it vouches for");
}

#[test]
fn what_ends_is_told_in_its_order_unless_it_was_replaced() {
    let site = Site::new();
    let maker = &site.maker;
    let at = |days: i64| Instant::from_s(day(days));
    let ends = |name: &str, serial: u32, days: i64| {
        maker.authority(name, serial).valid(day(-9), day(days)).sign(&maker.root, "CN=root")
    };
    site.put(Shelf::Trusted, &[&ends("CN=old", 5, 3), &ends("CN=old", 6, 300), &ends("CN=short", 7, 9)]);
    let server = maker.server("CN=plc", 3).valid(day(-9), day(5)).sign(&maker.plant, "CN=plant");
    site.pki.note_used("press 1/2", server.der()).unwrap();
    site.put(Shelf::Trusted, &[&server]);
    let found = site.pki.expiring(at(30)).unwrap();
    let found: Vec<_> = found.into_iter().map(|one| (one.held, one.subject, one.until)).collect();
    let server = (Held::Server("press 1/2".into()), "CN=plc".to_owned(), at(5));
    assert_eq!(found[0], server);
    assert!(found.contains(&(Held::Authority, "CN=short".to_owned(), at(9))), "{found:?}");
    assert!(!found.iter().any(|(_, subject, _)| subject == "CN=old"), "it was replaced: {found:?}");
    assert!(site.pki.expiring(at(4)).unwrap().is_empty());
    let used = &site.pki.certificates(Shelf::Used).unwrap()[0];
    assert!(used.is_of("press 1/2") && !used.is_of("press 1") && !used.is_of("press"));
    site.pki.note_used("press@plc:4840", site.server.der()).unwrap();
    assert!(site.pki.certificates(Shelf::Used).unwrap().iter().any(|kept| kept.is_of("press")));
}

#[test]
fn files_are_found_by_what_they_hold_and_move_as_a_whole() {
    let site = Site::new();
    let trusted = site.pki.shelf(Shelf::Trusted);
    std::fs::create_dir_all(&trusted).unwrap();
    let pem = made::pem(&[&site.server, &site.plant]);
    std::fs::write(trusted.join("two of them.crt"), pem).unwrap();
    std::fs::write(trusted.join("note.txt"), "ask Ann").unwrap();
    let kept = site.pki.certificates(Shelf::Trusted).unwrap();
    assert_eq!(kept.iter().map(|kept| &kept.certificate).collect::<Vec<_>>(), [&site.server, &site.plant]);
    let thumbprint = site.server.thumbprint();
    let capitals: String = thumbprint.as_str().to_uppercase().chars().take(8).collect();
    let found = site.pki.find(&format!("{}:{}", &capitals[..2], &capitals[2..])).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(site.pki.find("").unwrap().len(), 0, "nothing is no thumbprint");
    assert_eq!(thumbprint.as_str().len(), 40);
    assert_eq!(site.server.application_uri().as_deref(), Some("urn:plc"));
    assert!(site.server.is_for_host("PLC.example") && !site.server.is_for_host("plc"));
    assert!(site.plant.is_authority() && !site.server.is_authority());
}

/// One folder for all steps, since making a key takes long.
#[test]
fn our_own_certificate_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::new(folder.path());
    let application = Application { name: "Peer".into(), uri: "urn:peer".into() };
    assert!(pki.ensure_own(&application).unwrap());
    let made = fs::read(pki.own_certificate_path()).unwrap();
    assert!(!pki.ensure_own(&application).unwrap(), "the second time it is there");
    assert_eq!(fs::read(pki.own_certificate_path()).unwrap(), made);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(folder.path().join(Pki::own_key())).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "nobody else may read the key");
    }
    let certificate = pki.store(true, Vec::new()).read_own_cert().unwrap();
    certificate.is_application_uri_valid("urn:peer").unwrap();
    pki.serve_own().unwrap();
    let renewed = pki.renew_own(false).unwrap();
    assert_eq!((renewed.old.der(), renewed.new.application_uri().as_deref()), (&made[..], Some("urn:peer")));
    assert_ne!(renewed.old, renewed.new);
    assert_eq!(fs::read(pki.own_certificate_path()).unwrap(), renewed.new.der());
    let old = |ending: &str| renewed.kept.join(format!("{}.{ending}", renewed.old.thumbprint()));
    assert_eq!(fs::read(old("der")).unwrap(), made);
    let key = fs::read(folder.path().join(Pki::own_key())).unwrap();
    assert_ne!(fs::read(old("pem")).unwrap(), key);
    let served = |file: &Path| fs::read(folder.path().join(file)).unwrap();
    assert_eq!(served(Pki::served_certificate()), made, "a server that runs keeps what it began with");
    assert_eq!(served(Pki::served_key()), fs::read(old("pem")).unwrap());
    pki.serve_own().unwrap();
    assert_eq!((served(Pki::served_certificate()), served(Pki::served_key())), (renewed.new.der().to_vec(), key));
    // As a kill between the two steps of a renewal leaves it.
    fs::rename(pki.own_certificate_path(), pki.own_certificate_path().with_extension("new")).unwrap();
    fs::write(pki.own_certificate_path(), &made).unwrap();
    assert!(!pki.ensure_own(&application).unwrap());
    assert_eq!(fs::read(pki.own_certificate_path()).unwrap(), renewed.new.der(), "it is ended");
    let site = Site::new();
    fs::write(pki.own_certificate_path(), site.server.der()).unwrap();
    let refused = pki.renew_own(false).unwrap_err().to_string();
    assert!(refused.contains("`CN=plant`") && refused.contains("--self-signed"), "{refused}");
    fs::remove_file(folder.path().join(Pki::own_key())).unwrap();
    assert!(pki.ensure_own(&application).unwrap_err().to_string().contains("private.pem"));
}
