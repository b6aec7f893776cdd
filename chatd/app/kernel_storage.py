"""What the kernel stores: the tables of sql/db and sql/app, and the keys of the cluster in Redis."""

from chatd.app.personal_data import Remains
from chatd.app.storage import Kept, OneFor, OneRow, RedisKey, Table, UserData

TABLES = (
    Table("tenants", (OneFor("tenant of the configuration"),)),
    Table(
        "audit_log",
        (Kept("administrative acts stay on record"),),
        UserData(
            what=(
                "`actor`, `subject`: ids; `act`, `details`: what an operator, an admin or the server did, with reasons"
            ),
            kept="forever",
            erased="stays",
            id_stays=("actor", "subject", "details"),
        ),
    ),
    Table("maintenance", (OneRow(),), impersonal=("message",)),
    Table("job_runs", (OneFor("job"),), impersonal=("job",)),
    Table("installation", (OneRow(),), impersonal=("secret_fingerprint",)),
    Table("write_probes", (OneFor("server, and for `chatd doctor`"),), impersonal=("name", "filler")),
    Table("schema_migrations", (OneFor("migration"),), impersonal=("subsystem", "name", "checksum")),
    Table("schema_functions", (OneFor("subsystem"),), impersonal=("subsystem", "checksum", "release")),
)
REDIS_KEYS = (
    RedisKey(
        "bus",
        "events and control messages between nodes, with ids and message contents",
        "two minutes while nodes run, two hours at most",
    ),
    RedisKey("lease:*", "names of nodes", "while a node runs"),
    RedisKey("fence:*", "names of nodes", "while a node runs"),
)
REMAINS = (
    Remains("events on their way between nodes, with their content", "`bus` in Redis", "two hours at most"),
    Remains("the audit log", "`audit_log`", "forever: it protects others"),
    Remains("ids in log lines", "the log", "as long as you keep it"),
)
