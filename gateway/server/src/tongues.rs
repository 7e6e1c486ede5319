//! Who is told in which language: each user in the one that the configuration gives him; who has none there in the first of
//! those that the client asked for which there is (OPC 10000-4 §5.7.3); everybody else in the server's. What an event or a
//! value says in it is known in `speech`.

use std::collections::{BTreeMap, HashMap};

use opcua::nodes::Event;
use opcua::server::node_manager::RequestContext;
use opcua::sync::Mutex;
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
    users: HashMap<String, Speech>,
    known: HashMap<String, Speech>,
    texts: Texts,
    /// Of subscriptions of those who are not told in the gateway's own words: their session, and how they are told.
    subscriptions: Mutex<BTreeMap<u32, (u32, Speech)>>,
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
        let own = config.users.iter().filter_map(|user| Some((user.name.clone(), speech(user.locale.as_deref()?))));
        Self {
            locales: languages.iter().map(|language| language.locale.clone()).collect(),
            others: config.locale.as_deref().map(speech).unwrap_or_default(),
            users: own.collect(),
            known,
            texts: texts.clone(),
            subscriptions: Mutex::default(),
        }
    }

    /// LocaleIdArray (OPC 10000-5 §6.3.2): the gateway's own first.
    pub(crate) fn locale_ids(&self) -> Vec<UAString> {
        let own = (!self.locales.iter().any(|locale| locale == LOCALE)).then_some(LOCALE);
        own.into_iter().chain(self.locales.iter().map(String::as_str)).map(UAString::from).collect()
    }

    /// How whoever asks is told.
    pub(crate) fn of(&self, context: &RequestContext) -> Speech {
        let users = self.users.get(name_of(&context.token)).cloned();
        users.or_else(|| self.asked_for(context)).unwrap_or_else(|| self.others.clone())
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
        let speech = self.of(context);
        let mut subscriptions = self.subscriptions.lock();
        for (_, told) in subscriptions.values_mut().filter(|(holder, _)| *holder == context.session_id) {
            told.clone_from(&speech);
        }
    }

    /// A session has something in a subscription.
    pub(crate) fn subscribed(&self, subscription: u32, context: &RequestContext) {
        let (speech, session, all) = (self.of(context), context.session_id, &context.subscriptions);
        let mut subscriptions = self.subscriptions.lock();
        if speech.is_plain() {
            subscriptions.remove(&subscription);
            return;
        }
        if subscriptions.len() >= SUBSCRIPTIONS_MAX && !subscriptions.contains_key(&subscription) {
            subscriptions.retain(|id, (session, _)| session_with(*session, *id, all).is_some());
        }
        subscriptions.insert(subscription, (session, speech));
    }

    /// How those are told who have a subscription.
    pub(crate) fn of_subscription(&self, subscription: u32) -> Speech {
        self.subscriptions.lock().get(&subscription).map(|(_, speech)| speech.clone()).unwrap_or_default()
    }

    /// Whether anybody who listens is told in another language than the gateway's own words.
    pub(crate) fn differ(&self) -> bool {
        !self.subscriptions.lock().is_empty()
    }
}
