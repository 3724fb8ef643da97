//! A connection's socket, in the clear or in TLS.
//!
//! It is greeted on one runtime and served on another (see `listener`), so the socket under it can be taken off the one and put
//! onto the other: [`Wire::park`], [`Parked::resume`]. Below TLS that is a socket in a place which is empty meanwhile.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::connection::End;
use super::startup::{self, Greeting, Offer, Opening};
use crate::tls::Tls;

/// A socket, or the place of one that is somewhere else: then nothing can be read or written.
pub(super) struct Place(Option<TcpStream>);

/// See the module's header.
pub(super) enum Wire {
    Plain(Place),
    Tls(Box<TlsStream<Place>>),
}

/// A wire that no runtime watches.
pub(super) struct Parked {
    wire: Wire,
    socket: std::net::TcpStream,
}

/// A wire that the runtime watches on which it was resumed.
pub(super) enum Resumed {
    Plain(TcpStream),
    Tls(Box<TlsStream<Place>>),
}

impl Wire {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self::Plain(Place(Some(socket)))
    }

    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Finds out what the client wants, in TLS where it asks for that and we have it.
    pub(super) async fn receive(&mut self, tls: Option<&Tls>) -> Result<Opening, End> {
        let offer = if tls.is_some() { Offer::Accept } else { Offer::Refuse };
        let opening = startup::receive(self, offer).await?;
        match (&opening.greeting, tls) {
            (Greeting::Encrypt, Some(tls)) => {
                self.encrypt(tls).await?;
                startup::receive(self, Offer::Done).await
            }
            _ => Ok(opening),
        }
    }

    async fn encrypt(&mut self, tls: &Tls) -> io::Result<()> {
        if let Self::Plain(place) = self {
            let socket = Place(place.0.take());
            let stream = tls.acceptor().accept(socket).await?;
            *self = Self::Tls(Box::new(stream));
        }
        Ok(())
    }

    /// Takes the socket off its runtime.
    pub(super) fn park(mut self) -> io::Result<Parked> {
        let place = match &mut self {
            Self::Plain(place) => place,
            Self::Tls(stream) => stream.get_mut().0,
        };
        let socket = place.0.take().ok_or(io::ErrorKind::NotConnected)?.into_std()?;
        Ok(Parked { wire: self, socket })
    }
}

impl Parked {
    /// Puts the socket onto the runtime that this is called on.
    pub(super) fn resume(self) -> io::Result<Resumed> {
        let socket = TcpStream::from_std(self.socket)?;
        Ok(match self.wire {
            Wire::Plain(_) => Resumed::Plain(socket),
            Wire::Tls(mut stream) => {
                stream.get_mut().0.0 = Some(socket);
                Resumed::Tls(stream)
            }
        })
    }
}

impl Place {
    fn socket(self: Pin<&mut Self>) -> io::Result<Pin<&mut TcpStream>> {
        let socket = self.get_mut().0.as_mut();
        socket.map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Place {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_read(context, into)
    }
}

impl AsyncWrite for Place {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket()?.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_shutdown(context)
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(place) => Pin::new(place).poll_read(context, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(place) => Pin::new(place).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(place) => Pin::new(place).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(place) => Pin::new(place).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
