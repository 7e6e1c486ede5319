//! Who is told in which language: each user in the one that the configuration gives him; who has none there in the first of
//! those that the client asked for which there is (OPC 10000-4 §5.7.3); everybody else in the server's. What an event or a
//! value says in it is known in `speech`.

use std::collections::{BTreeMap, HashMap};

use opcua::nodes::Event;
use opcua::server::node_manager::RequestContext;
use opcua::sync::{Mutex, RwLock};
use opcua::types::UAString;
use watchfire_config::{ServerConfig, Texts};

use crate::names::LOCALE;
use crate::speech::Speech;
use crate::users::name_of;
use crate::watch::session_with;

/// Subscriptions that are remembered before it is looked which of them are gone.
const SUBSCRIPTIONS_MAX: usize = 1024;

/// The languages, and who is told in each.
#[derive(Debug, Default)]
pub(crate) struct Tongues {
    /// What LocaleIdArray says.
    locales: Vec<String>,
    others: Speech,
    users: RwLock<HashMap<String, Speech>>,
    known: HashMap<String, Speech>,
    texts: Texts,
    subscriptions: Mutex<Subscriptions>,
}

/// Of each subscription its session, and how that is told: also in the gateway's own words, since the next time that its
/// client activates the session it may ask for others.
#[derive(Debug, Default)]
struct Subscriptions {
    of: BTreeMap<u32, (u32, Speech)>,
    /// At so many it is looked which are gone.
    look_at: usize,
}

/// An event that can be told in another language.
pub(crate) trait Spoken: Event + Sized {
    /// The same in a language.
    fn spoken(&self, speech: &Speech) -> Self;
}

impl Tongues {
    pub(crate) fn new(texts: &Texts, config: &ServerConfig) -> Self {
        let languages = texts.languages();
        let known: HashMap<String, Speech> =
            languages.iter().map(|language| (language.locale.clone(), Speech::new(language))).collect();
        let speech = |locale: &str| {
            texts.find(locale).and_then(|language| known.get(&language.locale)).cloned().unwrap_or_default()
        };
        let tongues = Self {
            locales: languages.iter().map(|language| language.locale.clone()).collect(),
            others: config.locale.as_deref().map(speech).unwrap_or_default(),
            users: RwLock::default(),
            known,
            texts: texts.clone(),
            subscriptions: Mutex::default(),
        };
        let own = config.users.iter().filter_map(|user| Some((user.name.as_str(), user.locale.as_deref()?)));
        tongues.speak_to(own);
        tongues
    }

    /// These users have languages of their own, and no others. Who listens is told so from the next log-in on.
    pub(crate) fn speak_to<'a>(&self, users: impl Iterator<Item = (&'a str, &'a str)>) {
        let speech = |locale| {
            let language = self.texts.find(locale);
            language.and_then(|language| self.known.get(&language.locale)).cloned().unwrap_or_default()
        };
        *self.users.write() = users.map(|(name, locale)| (name.to_owned(), speech(locale))).collect();
    }

    /// LocaleIdArray (OPC 10000-5 §6.3.2): the gateway's own first.
    pub(crate) fn locale_ids(&self) -> Vec<UAString> {
        let own = (!self.locales.iter().any(|locale| locale == LOCALE)).then_some(LOCALE);
        own.into_iter().chain(self.locales.iter().map(String::as_str)).map(UAString::from).collect()
    }

    /// How whoever asks is told.
    pub(crate) fn of(&self, context: &RequestContext) -> Speech {
        let own = self.users.read().get(name_of(&context.token)).cloned();
        own.or_else(|| self.asked_for(context)).unwrap_or_else(|| self.others.clone())
    }

    /// The first language that the client asked for which there is.
    fn asked_for(&self, context: &RequestContext) -> Option<Speech> {
        let session = context.session.read();
        let mut asked = session.locale_ids().iter().map(AsRef::<str>::as_ref);
        asked.find_map(|locale| match self.texts.find(locale) {
            Some(language) => self.known.get(&language.locale).cloned(),
            None => self.texts.has(locale).then(Speech::default),
        })
    }

    /// A session is this user's from now on.
    pub(crate) fn activated(&self, context: &RequestContext) {
        self.speaks(context.session_id, &self.of(context));
    }

    /// A session is told so from now on.
    fn speaks(&self, session: u32, speech: &Speech) {
        let mut subscriptions = self.subscriptions.lock();
        for (_, told) in subscriptions.of.values_mut().filter(|(holder, _)| *holder == session) {
            told.clone_from(speech);
        }
    }

    /// A session has something in a subscription.
    pub(crate) fn subscribed(&self, subscription: u32, context: &RequestContext) {
        let session = context.session_id;
        if self.remember(subscription, session, self.of(context)) {
            self.forget(|session, id| session_with(session, id, &context.subscriptions).is_none());
        }
    }

    /// Remembers how a subscription is told; returns whether it is time to look which are gone.
    fn remember(&self, subscription: u32, session: u32, speech: Speech) -> bool {
        let mut subscriptions = self.subscriptions.lock();
        subscriptions.of.insert(subscription, (session, speech));
        subscriptions.of.len() > subscriptions.look_at.max(SUBSCRIPTIONS_MAX)
    }

    /// Forgets the subscriptions that are gone, which is asked without the lock: whoever tells of values has the stack's
    /// when he asks how.
    fn forget(&self, is_gone: impl Fn(u32, u32) -> bool) {
        let known: Vec<(u32, u32)> =
            self.subscriptions.lock().of.iter().map(|(id, (session, _))| (*session, *id)).collect();
        let gone: Vec<(u32, u32)> = known.into_iter().filter(|(session, id)| is_gone(*session, *id)).collect();
        let mut subscriptions = self.subscriptions.lock();
        for (session, id) in gone {
            if subscriptions.of.get(&id).is_some_and(|(holder, _)| *holder == session) {
                subscriptions.of.remove(&id);
            }
        }
        // Where many are there, looking at all of them for each new one would take longer and longer.
        subscriptions.look_at = subscriptions.of.len() * 2;
    }

    /// How those are told who have a subscription.
    pub(crate) fn of_subscription(&self, subscription: u32) -> Speech {
        self.subscriptions.lock().of.get(&subscription).map(|(_, speech)| speech.clone()).unwrap_or_default()
    }

    /// The subscriptions that are told in another language than the gateway's own words.
    pub(crate) fn others(&self) -> BTreeMap<u32, Speech> {
        let subscriptions = self.subscriptions.lock();
        let others = subscriptions.of.iter().filter(|(_, (_, speech))| !speech.is_plain());
        others.map(|(id, (_, speech))| (*id, speech.clone())).collect()
    }

    /// Whether anybody who listens is told in another language than the gateway's own words.
    pub(crate) fn differ(&self) -> bool {
        self.subscriptions.lock().of.values().any(|(_, speech)| !speech.is_plain())
    }
}

#[cfg(test)]
mod tests {
    use watchfire_config::Language;

    use super::*;

    fn german() -> Speech {
        Speech::new(&Language { locale: "de".into(), ..Language::default() })
    }

    #[test]
    fn subscriptions_are_told_as_their_session_asks_when_it_is_activated_again() {
        let tongues = Tongues::default();
        for (subscription, session) in [(1, 10), (2, 10), (3, 20)] {
            assert!(!tongues.remember(subscription, session, Speech::default()));
        }
        assert!(!tongues.differ());
        assert!(tongues.others().is_empty());
        tongues.speaks(10, &german());
        assert!(tongues.differ());
        assert_eq!(tongues.others().into_keys().collect::<Vec<_>>(), [1, 2]);
        assert!(!tongues.of_subscription(2).is_plain());
        assert!(tongues.of_subscription(3).is_plain());
        tongues.speaks(10, &Speech::default());
        assert!(!tongues.differ());
        tongues.speaks(10, &german());
        assert!(!tongues.of_subscription(1).is_plain(), "back and forth");
    }

    #[test]
    fn which_subscriptions_are_gone_is_asked_without_the_lock_and_not_each_time() {
        let tongues = Tongues::default();
        let max = u32::try_from(SUBSCRIPTIONS_MAX).unwrap();
        assert!((0..max).all(|id| !tongues.remember(id, id % 7, german())));
        assert!(tongues.remember(max, 1, german()));
        tongues.forget(|_, id| {
            // As whoever tells of values does.
            assert!(tongues.differ());
            id % 4 == 0
        });
        assert!(tongues.of_subscription(4).is_plain());
        assert!(!tongues.of_subscription(5).is_plain());
        let left = tongues.others().len();
        assert_eq!(left, SUBSCRIPTIONS_MAX * 3 / 4);
        let room = u32::try_from(left).unwrap();
        assert!((0..room).all(|id| !tongues.remember(2 * max + id, 1, german())));
        assert!(tongues.remember(9 * max, 1, german()));
    }
}
