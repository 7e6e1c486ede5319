//! `watchfire certs`: what a person does with certificates. Works on files alone; a running gateway looks at them whenever
//! it judges one.

mod list;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use watchfire_config::{Config, Security, SourceConfig};
use watchfire_model::{Clock, Instant, SystemClock};
use watchfire_ua::{Certificate, Kept, Pki, RevocationList, Shelf};

use crate::cli::{Certs, CertsCommand};

/// Does what is asked.
///
/// # Errors
/// When the configuration or a certificate is not good, or the folder cannot be read or written.
pub fn certs(options: &Certs) -> Result<ExitCode> {
    let config = Config::load(&options.config)?;
    let pki = Pki::new(config.gateway.data.join("pki"));
    match &options.command {
        CertsCommand::List => list::list(&pki, &config, SystemClock.now())?,
        CertsCommand::Trust { certificate, issuer } => trust(&pki, certificate, *issuer)?,
        CertsCommand::Reject { certificate } => reject(&pki, certificate)?,
        CertsCommand::Renew { self_signed } => renew(&pki, &config, *self_signed)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Sources whose connections are secured.
fn secured(config: &Config) -> impl Iterator<Item = &SourceConfig> {
    config.sources.iter().filter(|source| source.security != Security::None)
}

/// Whether the gateway's own server shows a certificate.
fn serves_secured(config: &Config) -> bool {
    config.server.security.iter().any(|security| *security != Security::None)
}

/// What was named on the command line.
enum Named {
    /// A certificate.
    Certificate(Box<Certificate>),
    /// A revocation list.
    List(Box<RevocationList>),
}

/// Finds what a thumbprint or a file names.
fn named(pki: &Pki, text: &str) -> Result<Named> {
    let file = Path::new(text);
    if file.exists() {
        return from_file(file);
    }
    if pki.own_thumbprint().is_some_and(|own| own.begins_with(text)) && pki.find(text)?.is_empty() {
        bail!("`{text}` is the gateway's own certificate, which is for others to trust");
    }
    let mut found = pki.find(text)?;
    for kept in pki.certificates(Shelf::Used)? {
        if kept.certificate.thumbprint().begins_with(text) {
            found.push(kept);
        }
    }
    // One certificate may lie in two folders.
    found.dedup_by(|a, b| a.certificate == b.certificate);
    let mut different: Vec<Kept> = Vec::new();
    for kept in found {
        if !different.iter().any(|known| known.certificate == kept.certificate) {
            different.push(kept);
        }
    }
    match &different[..] {
        [one] => Ok(Named::Certificate(Box::new(one.certificate.clone()))),
        [] if looks_like_thumbprint(text) => {
            bail!("no certificate has a thumbprint that begins with `{text}`; `watchfire certs list` shows them")
        }
        [] => bail!("`{text}` is neither a file nor a thumbprint; `watchfire certs list` shows thumbprints"),
        several => {
            let names: Vec<String> = several.iter().map(|kept| described(&kept.certificate)).collect();
            bail!("`{text}` may be {} certificates; give more of the thumbprint: {}", several.len(), names.join(", "))
        }
    }
}

fn looks_like_thumbprint(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | ' '))
}

fn from_file(file: &Path) -> Result<Named> {
    if file.is_dir() {
        bail!("`{}` is a folder; name a certificate in it", file.display());
    }
    let bytes = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    if let Some(list) = RevocationList::from_bytes(&bytes) {
        return Ok(Named::List(Box::new(list)));
    }
    match &Certificate::all_of(&bytes)[..] {
        [one] => Ok(Named::Certificate(Box::new(one.clone()))),
        [] => bail!("`{}` is neither a certificate nor a revocation list; give DER or PEM", file.display()),
        several => {
            let names: Vec<String> = several.iter().map(described).collect();
            let count = several.len();
            bail!(
                "`{}` holds {count} certificates; give each in a file of its own: {}",
                file.display(),
                names.join(", ")
            )
        }
    }
}

fn described(certificate: &Certificate) -> String {
    format!("`{}` ({})", certificate.subject(), certificate.thumbprint().as_str().to_uppercase())
}

fn trust(pki: &Pki, text: &str, issuer: bool) -> Result<()> {
    let certificate = match named(pki, text)? {
        Named::Certificate(certificate) => certificate,
        Named::List(list) => return take_list(pki, &list),
    };
    if Some(certificate.thumbprint()) == pki.own_thumbprint() {
        bail!("{} is the gateway's own certificate, which is for others to trust", described(&certificate));
    }
    if issuer && !certificate.is_authority() {
        bail!("{} is no authority's, so that it cannot stand between; leave out `--issuer`", described(&certificate));
    }
    let file = pki.put(&certificate, if issuer { Shelf::Issuers } else { Shelf::Trusted })?;
    let what = match (issuer, certificate.is_authority()) {
        (true, _) => "is known as an authority that may stand between",
        (false, true) if certificate.application_uri().is_none() => "is trusted, with all that it vouches for",
        (false, _) => "is trusted",
    };
    println!("{} {what}: `{}`", described(&certificate), file.display());
    warn_of_time(&certificate, SystemClock.now());
    println!("a running gateway believes it from its next try on");
    Ok(())
}

fn warn_of_time(certificate: &Certificate, now: Instant) {
    if certificate.valid_until() < now {
        println!(
            "but it expired on {}: it is refused until its owner has a new one",
            list::day(certificate.valid_until())
        );
    } else if now < certificate.valid_from() {
        println!("but it is valid only from {} on", list::day(certificate.valid_from()));
    }
}

/// Takes a revocation list, unless it is older than the one that is there.
fn take_list(pki: &Pki, new: &RevocationList) -> Result<()> {
    let known = pki.revocation_lists()?;
    let newer = known.iter().filter_map(|(file, list)| Some((file, list.as_ref()?)));
    let mut newer = newer.filter(|(_, list)| list.issuer() == new.issuer() && new.this_update() < list.this_update());
    if let Some((file, _)) = newer.next() {
        bail!("the revocation list of `{}` is older than `{}`, which is there already", new.issuer(), file.display());
    }
    let mut authorities = pki.certificates(Shelf::Trusted)?;
    authorities.extend(pki.certificates(Shelf::Issuers)?);
    let is_known = authorities.iter().any(|kept| new.is_of(&kept.certificate));
    let there = known.iter().filter_map(|(file, list)| Some((file, list.as_ref()?)));
    let mut same = there.filter(|(_, list)| !is_known && list.issuer() == new.issuer());
    if let Some((file, _)) = same.next() {
        bail!(
            "no authority that is known here has signed this revocation list, and it would take the place of `{}`; trust \
             the authority first",
            file.display()
        );
    }
    let file = pki.put_list(new)?;
    println!("the revocation list of `{}` takes back {}: `{}`", new.issuer(), new.count(), file.display());
    if !is_known {
        println!("but no authority that is known here has signed it: it has no effect until its authority is trusted");
    }
    Ok(())
}

fn reject(pki: &Pki, text: &str) -> Result<()> {
    let Named::Certificate(certificate) = named(pki, text)? else {
        bail!("`{text}` is a revocation list; take the file out of `{}`", pki.shelf(Shelf::Revocations).display());
    };
    let was = pki.find(certificate.thumbprint().as_str())?;
    let file = pki.put(&certificate, Shelf::Denied)?;
    println!("{} is refused from now on, whoever vouches for it: `{}`", described(&certificate), file.display());
    for kept in was.iter().filter(|kept| kept.shelf == Shelf::Pinned) {
        println!("it was pinned for source `{}`, which takes the next certificate that its server shows", kept.seat());
    }
    println!(
        "connections that stand are not cut; `watchfire certs trust {}` takes it back",
        certificate.thumbprint().short()
    );
    Ok(())
}

fn renew(pki: &Pki, config: &Config, self_signed: bool) -> Result<()> {
    if pki.own_thumbprint().is_none() {
        bail!("the gateway has no certificate yet; `watchfire run` makes one at the first need");
    }
    let renewed = pki.renew_own(self_signed)?;
    let file = pki.own_certificate_path();
    println!("new certificate {}, valid until {}", described(&renewed.new), list::day(renewed.new.valid_until()));
    println!("  it lies in `{}`, the old one and its key in `{}`", file.display(), renewed.kept.display());
    println!("Trust it, in their own tools, on");
    let mut nobody = true;
    for source in secured(config) {
        println!("  - the server of source `{}`, {}", source.name, source.url);
        for url in &source.reach.redundant {
            println!("  - and {url}, which stands in for it");
        }
        nobody = false;
    }
    if serves_secured(config) {
        println!("  - every HMI that connects to the gateway with security");
        nobody = false;
    }
    if nobody {
        println!("  - nothing: no source and no HMI uses it");
    }
    println!(
        "Sources show it from their next connection on, the gateway's own server once the gateway is started again."
    );
    println!("`watchfire doctor SOURCE` says whether a server trusts it.");
    Ok(())
}
