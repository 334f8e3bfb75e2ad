//! OAuth API scripts: which there are, checking and trying them.

use crate::api::{
    CheckRequest, CheckedDocument, ScriptDocument, ScriptProblem, ScriptTextDocument, TriedDocument, TryRequest,
};
use crate::connector::{Error, ScriptTry};
use crate::exchange::read_reply_file;
use crate::script::{ScriptError, Scripts};
use crate::server::answer::{Answer, Document, Json, OfScript, Refusal};
use crate::server::doors::asker::Asker;
use crate::server::routes::{Routes, get, post};

/// Bytes of the largest reply: as many as one of a provider may have.
const LARGEST_REPLY: usize = 1024 * 1024;

/// Bytes of the largest body: a reply and a script, as JSON writes them.
const LARGEST_TRY: usize = 4 * 1024 * 1024;

pub(in crate::server) fn routes() -> Routes {
    Routes::new()
        .route("/v1/scripts", get(list))
        .route("/v1/scripts/check", post(check_all))
        .route("/v1/scripts/{script}", get(show))
        .route("/v1/scripts/{script}/check", post(check).up_to(LARGEST_TRY))
        .route("/v1/scripts/{script}/try", post(try_out).up_to(LARGEST_TRY))
}

async fn list(asker: Asker) -> Answer<Vec<ScriptDocument>> {
    let scripts = looked_at(&asker, Scripts::list).await?;
    Ok(Json(scripts.iter().map(ScriptDocument::of).collect()))
}

async fn show(asker: Asker, OfScript(name): OfScript) -> Answer<ScriptTextDocument> {
    let (text, all) = looked_at(&asker, {
        let name = name.clone();
        move |scripts| Ok((scripts.text(&name)?, scripts.list()?))
    })
    .await?;
    let info = all.iter().find(|info| info.name == name);
    let info = info.ok_or_else(|| Refusal::missing(format!("the script {name} went while it was looked at")))?;
    Ok(Json(ScriptTextDocument { script: ScriptDocument::of(info), text }))
}

async fn check_all(asker: Asker) -> Answer<CheckedDocument> {
    let (all, problems) = looked_at(&asker, |scripts| Ok((scripts.list()?, scripts.problems()?))).await?;
    Ok(Json(CheckedDocument {
        scripts: all.iter().map(ScriptDocument::of).collect(),
        problems: problems.iter().map(ScriptProblem::of).collect(),
    }))
}

/// What is wrong with a script is the answer, and no problem of the request.
async fn check(
    asker: Asker,
    OfScript(name): OfScript,
    Document(request): Document<CheckRequest>,
) -> Answer<ScriptDocument> {
    let checked = looked_at(&asker, move |scripts| {
        let checked = match request.text {
            Some(text) => scripts.check_text(&name, &text),
            None => match scripts.check(&name) {
                Err(ScriptError::Problem(problem)) => Err(*problem),
                ended => Ok(ended?),
            },
        };
        Ok(match checked {
            Ok(info) => ScriptDocument::of(&info),
            Err(problem) => ScriptDocument::wrong(name, &problem),
        })
    });
    Ok(Json(checked.await?))
}

async fn try_out(
    asker: Asker,
    OfScript(name): OfScript,
    Document(request): Document<TryRequest>,
) -> Answer<TriedDocument> {
    if request.reply.len() > LARGEST_REPLY {
        return Err(Refusal::bad("reply is longer than 1 MiB, which no reply may be"));
    }
    let mut reply = read_reply_file(request.reply.as_bytes())
        .map_err(|error| Refusal::bad(format!("reply cannot be read: {error}")))?;
    if let Some(status) = request.status {
        if !(100..1000).contains(&status) {
            return Err(Refusal::bad("status must be 100 to 999"));
        }
        reply.status = status;
    }
    let TryRequest { text, grant, application, .. } = request;
    let tried = asker.try_script(&name, ScriptTry { text, reply, grant, application }).await?;
    Ok(Json(TriedDocument::of(&name, &tried.trial, tried.took)))
}

/// Looks at scripts in a thread that may wait for files.
async fn looked_at<T: Send + 'static>(
    asker: &Asker,
    look: impl FnOnce(&Scripts) -> Result<T, ScriptError> + Send + 'static,
) -> Result<T, Refusal> {
    let scripts = asker.scripts().clone();
    let looked = tokio::task::spawn_blocking(move || look(&scripts)).await;
    Ok(looked.map_err(|_| Error::Stopped("looking at the scripts"))??)
}
