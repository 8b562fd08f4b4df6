"""The map of the service: one line a blueprint, queue, schedule and event.

Everything here is imported by every function of the zip, so nothing heavy is:
the blueprints load their services, pydantic and the SDK on first use.
"""

from chalice.app import Chalice

from chalicelib.handlers import (
    alerts,
    aliases,
    anomalies,
    audit,
    authorizer,
    clock,
    docs,
    examination,
    health,
    inference,
    invocations,
    lineage,
    me,
    models,
    monitoring,
    notary,
    openapi,
    outbox,
    policies,
    predictions,
    promotions,
    reconciliations,
    series,
    telemetry,
    versions,
    webhooks,
)
from chalicelib.handlers.problems import dress

app = Chalice("tiltyard")

# No CORS: the console is served from the API's own origin, and a token never belongs in another one's page.
app.api.cors = False
# Answers are text; only a body that says octet-stream comes and goes as bytes.
app.api.binary_types = ["application/octet-stream"]

app.register_middleware(dress, "http")

app.register_blueprint(authorizer.bp)  # who calls: verifies the token
app.register_blueprint(predictions.bp)  # /v1/models/{m}/predict, /predictions/…: the function `predictor`
app.register_blueprint(invocations.bp)  # /v1/models/{m}/invocations (MLflow): `predictor`
app.register_blueprint(inference.bp)  # /v2 (Open Inference Protocol): `predictor`
app.register_blueprint(health.bp)  # /v1/health/live, /ready
app.register_blueprint(openapi.bp)  # /openapi.json
app.register_blueprint(docs.bp)  # /docs: try a model, browse the API
app.register_blueprint(me.bp)  # /v1/me
app.register_blueprint(models.bp)  # /v1/models
app.register_blueprint(versions.bp)  # /v1/artifacts, /v1/models/{m}/versions, …/{v}/contract
app.register_blueprint(aliases.bp)  # /v1/models/{m}/aliases
app.register_blueprint(policies.bp)  # /v1/models/{m}/policy
app.register_blueprint(promotions.bp)  # /v1/models/{m}/promote, /rollback, /champion, /timeline
app.register_blueprint(lineage.bp)  # /v1/models/{m}/lineage, /v1/lineage/{digest}
app.register_blueprint(audit.bp)  # /v1/audit: entries, checkpoints, proofs
app.register_blueprint(series.bp)  # /v1/models/{m}/drift, /quality
app.register_blueprint(anomalies.bp)  # /v1/models/{m}/anomalies
app.register_blueprint(alerts.bp)  # /v1/alerts
app.register_blueprint(reconciliations.bp)  # /v1/models/{m}/reconciliations
app.register_blueprint(telemetry.bp)  # /v1/telemetry/dead-letters, /redrive
app.register_blueprint(webhooks.bp)  # /v1/webhooks, /v1/events/redrive
app.register_blueprint(clock.bp)  # /v1/clock
app.register_blueprint(monitoring.bp)  # telemetry queue -> ingest; every 5 minutes -> watch
app.register_blueprint(outbox.bp)  # the lineage table's stream -> outbox; delivery queue -> courier
app.register_blueprint(notary.bp)  # notary queue -> notary: the transparency log
app.register_blueprint(examination.bp)  # examination queue -> examiner; every 5 minutes -> sweeper
