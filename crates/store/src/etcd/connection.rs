//! A connection to one member of etcd.

use std::time::Duration;

use etcd_client::{
    AlarmAction, AlarmType, Channel, Client, ConnectOptions, GetOptions, GetResponse, KeyValue,
    KvClient, MaintenanceClient, Txn, TxnResponse, WatchClient, WatchOptions, WatchStream,
};
use tokio::time::timeout;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::layout::{ClusterMark, Keys};
use super::{EtcdSettings, Trouble};

/// A member that takes longer to connect or to answer a question is left for another.
pub(super) const ANSWER: Duration = Duration::from_secs(1);

/// An answer that brings much may take longer.
const LARGE_ANSWER: Duration = Duration::from_secs(10);

/// What an answer may measure. A watch may bring a thousand transactions in one piece.
const MESSAGE: usize = i32::MAX as usize;

/// A connection to one member of etcd, which answers.
pub(super) struct Connection {
    endpoint: String,
    keys: Keys,
    kv: KvClient,
    watch: WatchClient,
    maintenance: MaintenanceClient,
}

impl Connection {
    pub(super) async fn open(endpoint: &str, settings: &EtcdSettings) -> Result<Self, Trouble> {
        Self::try_open(endpoint, settings).await.map_err(|trouble| {
            let judged = settings.tls.as_ref().is_some_and(|tls| tls.own.is_some());
            match judged && trouble.is_hanging_up() {
                true => Trouble::NotTrusted(trouble.to_string()),
                false => trouble,
            }
        })
    }

    async fn try_open(endpoint: &str, settings: &EtcdSettings) -> Result<Self, Trouble> {
        let channel = within(ANSWER, channel(endpoint, settings)?.connect()).await?;
        let mut options = ConnectOptions::new().with_auto_token_refresh(true);
        if let Some((user, password)) = &settings.login {
            options = options.with_user(user, password);
        }
        let client = Client::from_channel(Channel::Tonic(channel), Some(options));
        let client = within(ANSWER, client).await?;
        let connection = Self {
            endpoint: endpoint.to_owned(),
            keys: Keys::new(&settings.prefix),
            kv: client.kv_client().max_decoding_message_size(MESSAGE),
            watch: client.watch_client().max_decoding_message_size(MESSAGE),
            maintenance: client.maintenance_client(),
        };
        // Only an answer shows that it lets this head in, and that it works with the others.
        connection.mark().await?;
        Ok(connection)
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What etcd and the prefix of its keys are called in messages.
    pub(super) fn place(&self) -> String {
        place(&self.endpoint, self.keys.prefix())
    }

    /// Reads what a majority of the members has agreed on.
    pub(super) async fn read(
        &self,
        key: impl Into<Vec<u8>>,
        options: GetOptions,
    ) -> Result<GetResponse, Trouble> {
        within(ANSWER, self.kv.clone().get(key, Some(options))).await
    }

    /// The same where the answer may be large.
    pub(super) async fn read_much(
        &self,
        key: impl Into<Vec<u8>>,
        options: GetOptions,
    ) -> Result<GetResponse, Trouble> {
        within(LARGE_ANSWER, self.kv.clone().get(key, Some(options))).await
    }

    /// The mark of the cluster with its key, and the present revision of etcd. This too asks a majority.
    pub(super) async fn mark(&self) -> Result<(Option<(ClusterMark, KeyValue)>, i64), Trouble> {
        let mut found = self.read(self.keys.mark(), GetOptions::new()).await?;
        let mark = match found.take_kvs().pop() {
            None => None,
            Some(found) => Some((ClusterMark::parse(&found)?, found)),
        };
        Ok((mark, revision_of(&found)?))
    }

    /// Carries out a transaction. An error that is no [refusal](Trouble::is_refusal) leaves open whether it was made.
    pub(super) async fn transact(
        &self,
        transaction: Txn,
        time: Duration,
    ) -> Result<TxnResponse, Trouble> {
        within(time, self.kv.clone().txn(transaction)).await
    }

    /// The changes of all records, and of the mark, from a revision of etcd on.
    pub(super) async fn changes(&self, from: i64) -> Result<WatchStream, Trouble> {
        let options = WatchOptions::new().with_prefix().with_start_revision(from);
        within(
            ANSWER,
            self.watch.clone().watch(self.keys.prefix(), Some(options)),
        )
        .await
    }

    /// Proves that a majority agrees to something, and that etcd has not stopped taking writes.
    pub(super) async fn writable(&self) -> Result<(), Trouble> {
        let mut etcd = self.maintenance.clone();
        let asked = etcd.alarm(AlarmAction::Get, AlarmType::None, None);
        let found = match within(ANSWER, asked).await {
            // Some etcd tell it to administrators only.
            Err(trouble) if trouble.is_permission_denied() => return self.mark().await.map(|_| ()),
            found => found?,
        };
        match found.alarms().first() {
            None => Ok(()),
            Some(alarm) => Err(Trouble::Alarm(match alarm.alarm() {
                AlarmType::Nospace => {
                    "its database is full (compact, defragment, then disarm the alarm)"
                }
                _ => "a member's data is corrupt (replace that member, then disarm the alarm)",
            })),
        }
    }
}

/// What etcd and the prefix of its keys are called in messages.
pub(super) fn place(endpoint: &str, prefix: &str) -> String {
    format!("etcd {endpoint}, {prefix}")
}

/// The revision of etcd that an answer is of.
pub(super) fn revision_of(response: &GetResponse) -> Result<i64, Trouble> {
    response
        .header()
        .map(etcd_client::ResponseHeader::revision)
        .ok_or(Trouble::Nonsense("no header"))
}

/// Waits for an answer, though not for ever.
async fn within<T, E: Into<Trouble>>(
    time: Duration,
    question: impl Future<Output = Result<T, E>>,
) -> Result<T, Trouble> {
    match timeout(time, question).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(Trouble::Silent(time)),
    }
}

fn channel(endpoint: &str, settings: &EtcdSettings) -> Result<Endpoint, Trouble> {
    let channel = Endpoint::from_shared(endpoint.to_owned())?
        .connect_timeout(ANSWER)
        .tcp_nodelay(true);
    match (&settings.tls, endpoint.starts_with("https://")) {
        (None, false) => Ok(channel),
        (None, true) => Err(Trouble::NoAuthority),
        (Some(_), false) => Err(Trouble::NotEncrypted),
        (Some(tls), true) => {
            let mut config =
                ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&tls.authority));
            if let Some(own) = &tls.own {
                config = config.identity(Identity::from_pem(&own.certificate, &own.key));
            }
            Ok(channel.tls_config(config)?)
        }
    }
}
