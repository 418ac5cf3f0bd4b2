//! The connection below SMB: TCP, with the requests counted, and with what smb2 leaves out when it introduces itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use smb2::client::Connection;
use smb2::crypto::kdf::PreauthHasher;
use smb2::transport::{ConnectOptions, ReceiveProgress, TcpTransport, TransportReceive, TransportSend};

/// Where a NEGOTIATE request holds the client's capabilities ([MS-SMB2] 2.2.3), behind a header of 64 bytes.
const CAPABILITIES: usize = 64 + 8;
/// SMB2_GLOBAL_CAP_ENCRYPTION, in the lowest byte of the capabilities.
const ENCRYPTION: u8 = 0x40;

/// smb2 speaks encryption and lists its ciphers, but does not set the capability, and Samba then takes it for a client
/// that cannot encrypt. So it is set here, and the hash that both sides keep of the handshake made from what was sent.
#[derive(Debug)]
pub(super) struct Wire {
    tcp: TcpTransport,
    sent: Arc<AtomicU64>,
    handshake: Mutex<Handshake>,
}

#[derive(Debug, Default)]
struct Handshake {
    request: Option<Vec<u8>>,
    response: Option<Vec<u8>>,
}

impl Wire {
    /// Connects to `address` (`host:port`) and counts requests in `sent`.
    pub async fn connect(address: &str, options: ConnectOptions, sent: &Arc<AtomicU64>) -> smb2::Result<Arc<Self>> {
        let tcp = TcpTransport::connect_with(address, options).await?;
        Ok(Arc::new(Self { tcp, sent: sent.clone(), handshake: Mutex::default() }))
    }

    fn handshake(&self) -> MutexGuard<'_, Handshake> {
        self.handshake.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Negotiates on a connection made from this wire.
    pub async fn negotiate(&self, connection: &mut Connection) -> smb2::Result<()> {
        connection.negotiate().await?;
        let Handshake { request, response } = std::mem::take(&mut *self.handshake());
        if let (Some(request), Some(response)) = (request, response) {
            connection.with_preauth_hasher_mut(|hasher| {
                *hasher = PreauthHasher::new();
                hasher.update(&request);
                hasher.update(&response);
            });
        }
        Ok(())
    }
}

/// Whether a message is the NEGOTIATE request: command 0 in a plain SMB 2 header.
fn is_negotiate(message: &[u8]) -> bool {
    message.starts_with(b"\xfeSMB") && message.get(12..14) == Some(&[0, 0]) && message.len() > CAPABILITIES
}

#[async_trait]
impl TransportSend for Wire {
    async fn send(&self, data: &[u8]) -> smb2::Result<()> {
        self.sent.fetch_add(1, Relaxed);
        if !is_negotiate(data) {
            return self.tcp.send(data).await;
        }
        let mut request = data.to_vec();
        request[CAPABILITIES] |= ENCRYPTION;
        self.handshake().request = Some(request.clone());
        self.tcp.send(&request).await
    }
}

#[async_trait]
impl TransportReceive for Wire {
    async fn receive(&self) -> smb2::Result<Vec<u8>> {
        let message = self.tcp.receive().await?;
        let mut handshake = self.handshake();
        if handshake.request.is_some() && handshake.response.is_none() {
            handshake.response = Some(message.clone());
        }
        Ok(message)
    }

    fn receive_progress(&self) -> Option<Arc<ReceiveProgress>> {
        self.tcp.receive_progress()
    }
}
