//! What `watchfire certs list` prints.

use anyhow::Result;
use watchfire_config::Config;
use watchfire_model::Instant;
use watchfire_ua::{Certificate, Kept, Pki, Shelf};

use super::{secured, serves_secured};

const DAY_NS: i64 = 86_400_000_000_000;

/// The day of a time, UTC.
pub(super) fn day(at: Instant) -> String {
    at.to_string().split('T').next().unwrap_or_default().to_owned()
}

/// Prints everything that lies in the folder.
pub(super) fn list(pki: &Pki, config: &Config, now: Instant) -> Result<()> {
    println!("certificates in `{}`", pki.dir().display());
    let used = in_use(pki, config)?;
    let mut authorities = Vec::new();
    for shelf in [Shelf::Trusted, Shelf::Issuers] {
        authorities.extend(pki.certificates(shelf)?);
    }
    let mut is_empty = true;
    for shelf in Shelf::ALL.into_iter().filter(|shelf| *shelf != Shelf::Revocations) {
        let kept = pki.certificates(shelf)?;
        let Some(title) = title(shelf).filter(|_| !kept.is_empty()) else { continue };
        println!("\n{}: {title}", shelf.folder());
        is_empty = false;
        for one in &kept {
            let users = match shelf {
                Shelf::Own => own_users(config),
                Shelf::Used => {
                    if one_of(config, one) {
                        String::new()
                    } else {
                        "no source any more".to_owned()
                    }
                }
                _ => users(&one.certificate, &used, &authorities),
            };
            print(one, &users, now);
        }
    }
    let lists = pki.revocation_lists()?;
    if !lists.is_empty() {
        println!("\n{}: revocation lists", Shelf::Revocations.folder());
        is_empty = false;
    }
    for (file, list) in lists {
        println!("  {}", file.display());
        let Some(list) = list else {
            println!("    cannot be read: every secured connection is refused until it is replaced or taken away");
            continue;
        };
        let signed = authorities.iter().any(|kept| list.is_of(&kept.certificate));
        let signed = if signed { "" } else { "; no authority that is known here has signed it: it has no effect" };
        println!("    issuer       {}{signed}", list.issuer());
        println!("    takes back   {}", list.count());
        let next = list
            .next_update()
            .map_or_else(|| "not said".to_owned(), |next| format!("{}, {}", day(next), left(next, now)));
        println!("    valid        from {}, next {next}", day(list.this_update()));
    }
    if is_empty {
        println!("none yet: the gateway makes its own at the first secured connection");
    }
    Ok(())
}

fn title(shelf: Shelf) -> Option<&'static str> {
    Some(match shelf {
        Shelf::Own => "the gateway's own, for servers and HMIs to trust",
        Shelf::Trusted => "by themselves, and authorities with all that they vouch for",
        Shelf::Issuers => "authorities that may stand between, not trusted by themselves",
        Shelf::Pinned => "the one that a source's server showed first, trusted for that source",
        Shelf::Used => "what each source's server has shown last; trusts nobody",
        Shelf::Rejected => "refused; `watchfire certs trust THUMBPRINT` trusts one",
        Shelf::Denied => "rejected by a person, refused whoever vouches for it",
        Shelf::Revocations => return None,
    })
}

fn print(kept: &Kept, users: &str, now: Instant) {
    let certificate = &kept.certificate;
    println!("  {}", certificate.subject());
    println!("    thumbprint   {}", certificate.thumbprint().as_str().to_uppercase());
    if let Some(uri) = certificate.application_uri() {
        println!("    application  {uri}");
    }
    if certificate.issuer() != certificate.subject() {
        println!("    issuer       {}", certificate.issuer());
    }
    let (from, until) = (certificate.valid_from(), certificate.valid_until());
    let state = if now < from { "not valid yet".to_owned() } else { left(until, now) };
    println!("    valid        {} to {}, {state}", day(from), day(until));
    if matches!(kept.shelf, Shelf::Pinned | Shelf::Used) {
        println!("    of           source `{}`", kept.seat());
    }
    if !users.is_empty() {
        println!("    used by      {users}");
    }
    println!("    file         {}", kept.file.display());
}

fn left(until: Instant, now: Instant) -> String {
    match until.since_ns(now) {
        over if over < 0 => format!("expired {} days ago", -over / DAY_NS),
        left => format!("{} days left", left / DAY_NS),
    }
}

fn own_users(config: &Config) -> String {
    let mut users: Vec<String> = secured(config).map(|source| format!("source `{}`", source.name)).collect();
    if serves_secured(config) {
        users.insert(0, "the gateway's server".to_owned());
    }
    if users.is_empty() { "nothing: no connection is secured".to_owned() } else { users.join(", ") }
}

fn one_of(config: &Config, kept: &Kept) -> bool {
    secured(config).any(|source| kept.is_of(&source.name))
}

/// What the servers of configured sources have shown last.
fn in_use(pki: &Pki, config: &Config) -> Result<Vec<Kept>> {
    let mut used = pki.certificates(Shelf::Used)?;
    used.retain(|kept| one_of(config, kept));
    Ok(used)
}

/// Who uses a certificate: the sources whose servers show it, or something that it vouches for.
fn users(certificate: &Certificate, used: &[Kept], authorities: &[Kept]) -> String {
    let of = |kept: &Kept| {
        let seat = kept.seat();
        if kept.certificate == *certificate {
            Some(format!("source `{seat}`"))
        } else if vouches_for(certificate, &kept.certificate, authorities, 8) {
            Some(format!("source `{seat}`, whose certificate it vouches for"))
        } else {
            None
        }
    };
    let users: Vec<String> = used.iter().filter_map(of).collect();
    users.join(", ")
}

fn vouches_for(above: &Certificate, below: &Certificate, authorities: &[Kept], height_max: usize) -> bool {
    if height_max == 0 || above == below {
        return false;
    }
    let between = || authorities.iter().map(|kept| &kept.certificate).filter(|between| *between != below);
    above.has_signed(below)
        || between()
            .any(|between| between.has_signed(below) && vouches_for(above, between, authorities, height_max - 1))
}
