//! A connection that is given up when its other end keeps us waiting: it holds memory, a descriptor and a place among the connections. Two things are
//! waited for: that a request's head comes whole, from when the one before was answered; and that an answer is read.
//!
//! Neither sets a clock for each request, which would cost it a fiftieth of what it costs at all (docs/performance.md): one looks every [`LONGEST_HEAD`]
//! whether anything has come of the connection since it last looked.

use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long the head of a request may take to come, and how long a connection may stay without one: this at least, and at most twice as long.
pub(in crate::server) const LONGEST_HEAD: Duration = Duration::from_secs(20);

/// How long an answer may wait until its reader takes some of it.
pub(in crate::server) const LONGEST_UNREAD: Duration = Duration::from_secs(60);

/// A stream whose writes end after a while in which nothing of them was taken, and whose reads end after a while without a request.
pub(in crate::server) struct Impatient<S> {
    stream: S,
    /// Until when, while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
    /// When it is looked next whether there was a request.
    looking: Option<Pin<Box<Sleep>>>,
    /// What had come of the connection when it was last looked.
    seen: Progress,
    /// Bytes that were written.
    written: u64,
    requests: Requests,
}

/// What comes of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Progress {
    begun: u64,
    written: u64,
}

/// The requests of one connection: how many heads came whole, and how many of those were answered. Clones share everything.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct Requests(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// Stands on an answer whose body comes from somebody else: how long it will be may be known, and when it comes is not.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct FromElsewhere;

/// A request that is being answered, until it is dropped.
pub(in crate::server) struct Answering(Requests);

impl Requests {
    /// A request's head has come.
    pub(in crate::server) fn begin(&self) -> Answering {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        Answering(self.clone())
    }

    fn begun(&self) -> u64 {
        self.0.begun.load(Ordering::Relaxed)
    }

    fn is_one_under_way(&self) -> bool {
        self.0.ended.load(Ordering::Relaxed) < self.begun()
    }
}

impl Answering {
    /// The answer. One that comes bit by bit is under way until its end; one that is here whole waits only for its reader.
    pub(in crate::server) fn with(self, response: Response) -> Response {
        let is_whole = response.body().size_hint().exact().is_some();
        match is_whole && response.extensions().get::<FromElsewhere>().is_none() {
            true => response,
            false => response.map(|body| Body::new(Streamed { body, _answering: self })),
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// An answer that comes bit by bit.
struct Streamed {
    body: Body,
    _answering: Answering,
}

impl http_body::Body for Streamed {
    type Data = axum::body::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<S> Impatient<S> {
    /// A stream on which these requests come.
    pub(in crate::server) fn new(stream: S, requests: Requests) -> Self {
        Self { stream, waiting: None, looking: None, seen: Progress::default(), written: 0, requests }
    }

    /// What became of a write: as it is, but for one that has waited too long.
    fn waited<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let waiting = self.waiting.get_or_insert_with(|| after(LONGEST_UNREAD));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer was not read")))
    }

    /// The same, and counts what was taken.
    fn counted(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.written = self.written.wrapping_add(*bytes as u64);
        }
        self.waited(context, written)
    }

    /// Ready where nothing has come of the connection for too long.
    fn waited_for_a_request(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let looking = self.looking.get_or_insert_with(|| after(LONGEST_HEAD));
            ready!(looking.as_mut().poll(context));
            let now = Progress { begun: self.requests.begun(), written: self.written };
            if self.seen == now && !self.requests.is_one_under_way() && self.waiting.is_none() {
                return Poll::Ready(());
            }
            self.seen = now;
            looking.as_mut().reset(Instant::now() + LONGEST_HEAD);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the network's own time, as with the limits of handshakes")]
fn after(time: Duration) -> Pin<Box<Sleep>> {
    Box::pin(tokio::time::sleep(time))
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        if read.is_pending() {
            ready!(self.waited_for_a_request(context));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no request came")));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.counted(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.counted(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.waited(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(context);
        self.waited(context, ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_is_given_up() {
        let (mut reader, ours) = tokio::io::duplex(64);
        let mut ours = Impatient::new(ours, Requests::default());
        // Slow is not gone: each byte that is taken is a sign of life.
        let slow = tokio::spawn(async move {
            let mut byte = [0; 1];
            for _ in 0..10 {
                tokio::time::advance(LONGEST_UNREAD / 2).await;
                reader.read_exact(&mut byte).await.unwrap();
            }
            reader
        });
        ours.write_all(&[7; 64 + 10]).await.unwrap();
        let _held = slow.await.unwrap();
        let error = ours.write_all(&[7; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    /// What a read comes to within a time; `None` where it still waits.
    async fn read_within(
        ours: &mut Impatient<tokio::io::DuplexStream>,
        time: Duration,
    ) -> Option<Result<u8, io::ErrorKind>> {
        let read = tokio::time::timeout(time, ours.read_u8()).await.ok()?;
        Some(read.map_err(|error| error.kind()))
    }

    /// A body of which nothing comes, and how long it would be where that is known.
    struct Never(Option<u64>);

    impl http_body::Body for Never {
        type Data = axum::body::Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
            Poll::Pending
        }

        fn size_hint(&self) -> SizeHint {
            self.0.map_or_else(SizeHint::default, SizeHint::with_exact)
        }
    }

    const MOMENT: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_come_whole_is_given_up_however_its_bytes_trickle() {
        let (mut asker, ours) = tokio::io::duplex(64);
        let requests = Requests::default();
        let mut ours = Impatient::new(ours, requests.clone());
        // What has been answered in time is waited for anew.
        assert_eq!(read_within(&mut ours, LONGEST_HEAD - MOMENT).await, None);
        drop(requests.begin());
        // Each byte is read, and none of them is a request.
        let trickling = tokio::spawn(async move {
            while asker.write_all(b"x").await.is_ok() {
                after(LONGEST_HEAD / 4).await;
            }
        });
        let mut came = 0;
        let began = Instant::now();
        let ended = loop {
            match ours.read_u8().await {
                Ok(_) => came += 1,
                Err(error) => break error.kind(),
            }
        };
        assert_eq!(ended, io::ErrorKind::TimedOut);
        let took = began.elapsed();
        assert!(LONGEST_HEAD <= took && took <= 2 * LONGEST_HEAD && came > 3, "{came} in {took:?}");
        trickling.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_being_answered_is_not_hung_up_on() {
        let (_asker, ours) = tokio::io::duplex(1 << 20);
        let requests = Requests::default();
        let mut ours = Impatient::new(ours, requests.clone());
        let long = LONGEST_HEAD * 10;
        // An answer that takes its time, and then one that comes bit by bit.
        let answering = requests.begin();
        assert_eq!(read_within(&mut ours, long).await, None);
        let response = answering.with(Response::new(Body::new(Never(None))));
        assert_eq!(read_within(&mut ours, long).await, None);
        drop(response);
        // One that comes from elsewhere, however well its length is known.
        let mut passed_on = Response::new(Body::new(Never(Some(7))));
        passed_on.extensions_mut().insert(FromElsewhere);
        let passed_on = requests.begin().with(passed_on);
        assert_eq!(read_within(&mut ours, long).await, None);
        drop(passed_on);
        // One that is here whole is read as long as its reader takes some of it.
        let whole = requests.begin().with(Response::new(Body::from("whole")));
        for _ in 0..10 {
            ours.write_all(b"whole").await.unwrap();
            assert_eq!(read_within(&mut ours, LONGEST_HEAD).await, None);
        }
        assert_eq!(read_within(&mut ours, 2 * LONGEST_HEAD).await, Some(Err(io::ErrorKind::TimedOut)));
        drop(whole);
    }
}
