//! Bodies of a known length, whose last bytes are held back until the source has vouched for all of them.

use futures::stream::StreamExt;

use crate::{ByteStream, Result};

/// The same stream, but its last piece comes only once its end has been seen. A client that was told the length stops
/// there and never asks for the end, and a server that has all bytes keeps them: a source that finds at the end that
/// the file changed meanwhile would be too late.
pub(super) async fn vouched(mut stream: ByteStream) -> Result<ByteStream> {
    let Some(first) = next(&mut stream).await.transpose()? else { return Ok(futures::stream::empty().boxed()) };
    let pieces = futures::stream::unfold(Some((stream, first)), |state| async move {
        let (mut stream, held) = state?;
        match next(&mut stream).await {
            Some(Ok(piece)) => Some((Ok(held), Some((stream, piece)))),
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Ok(held), None)),
        }
    });
    Ok(pieces.boxed())
}

/// The next piece that is not empty.
async fn next(stream: &mut ByteStream) -> Option<Result<bytes::Bytes>> {
    loop {
        match stream.next().await {
            Some(Ok(piece)) if piece.is_empty() => {}
            piece => return piece,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, ErrorKind};
    use bytes::Bytes;

    #[tokio::test]
    async fn a_late_failure_comes_before_the_last_piece() {
        let failed = || Err(Error::new(ErrorKind::Changed, &"here".into(), None, "changed"));
        let pieces = vec![Ok(Bytes::from("a")), Ok(Bytes::from("b")), Ok(Bytes::new()), failed()];
        let stream = vouched(futures::stream::iter(pieces).boxed()).await.expect("it begins well");
        let got: Vec<_> = stream.collect().await;
        assert!(matches!(&got[..], [Ok(a), Err(_)] if a == "a"), "{got:?}");
        assert!(vouched(futures::stream::iter([failed()]).boxed()).await.is_err());
        let none = vouched(futures::stream::iter([Ok(Bytes::new())]).boxed()).await.expect("nothing is fine");
        assert_eq!(none.count().await, 0);
    }
}
