//! The walk-through that the demo prints: a shell session to paste, step by step, with the real ports and file names.

use anyhow::Result;

use crate::node::{Node, OWNER};

/// Whom the walk-through invites.
const GUEST: &str = "anna@example.org";
const DEVELOPER: &str = "ben@example.org";
const COLLEAGUE: &str = "cleo@example.org";

/// The walk-through. Its lines are shell; what is said to the reader are comments.
///
/// # Errors
/// When the node has no agent.
pub fn text(node: &Node) -> Result<String> {
    let agent = node.agent()?;
    let live = node.instance("live")?;
    let (admin, editor) = (live.user("admin")?, live.user("editor")?);
    let (client, hosting) = (agent.panel_certificate(), node.hosting(&live.hosting)?);
    Ok(format!(
        r#"# A site is up: {site} (WP Admin: {site}/wp-admin/, login {admin}, password {password}).
# A walk through Latchkey follows. Paste it step by step into another terminal, as the user that runs the demo
# (reading the mail takes root).

PANEL={panel}; GATEWAY={gateway}; SITE={site}; MAIL={mail}; CA={ca}
# Calls the panel API as somebody:  as PERSON METHOD PATH [JSON]
as() {{ curl -sS --cacert $CA --cert {certificate} --key {key} -X "$2" "$PANEL$3" \
  -H "Latchkey-Actor: $1" -H "Idempotency-Key: $(cat /proc/sys/kernel/random/uuid)" \
  ${{4:+-H 'Content-Type: application/json' --data "$4"}}; echo; }}
# Picks a field of a JSON reply.
field() {{ php -r 'echo json_decode(stream_get_contents(STDIN), true)[$argv[1]] ?? "", PHP_EOL;' "$1"; }}

# 1. Is it well?
as panel GET /v1/health

# 2. Whom could a guest become in WP Admin? Asked of the site itself, by PHP as its system user.
as {OWNER} POST /v1/instances/live/operations/sso.users '{{}}'

# 3. The owner invites {GUEST}, to log in as {editor} and as nobody else.
SHARE=$(as {OWNER} POST /v1/instances/live/shares '{{"email":"{GUEST}","role":"view_and_sso",
  "log_in_as":{{"id":{editor_id},"login":"{editor}"}},"note":"Please look at the front page."}}' | tee /dev/stderr | field id)

# 4. The invitation is a mail. Its link starts with the gateway's URL.
LINK=$(for mail in $MAIL/*.eml; do php -r 'echo quoted_printable_decode(file_get_contents($argv[1]));' "$mail"; done \
  | grep -o "$GATEWAY/[^ \"<>]*" | tail -1); echo "$LINK"

# 5. Open the link in a browser and press the button (your browser does not know the demo's certificate: go on), or:
curl -sS --cacert $CA -o /dev/null -w 'accepted: %{{http_code}}\n' -H "Origin: $GATEWAY" -X POST "$LINK"
as {OWNER} GET /v1/instances/live/shares/$SHARE | field state

# 6. The guest opens WP Admin. Open the URL in a browser and press the button (works once, for a minute), or go on.
URL=$(as {GUEST} POST /v1/instances/live/operations/sso.open '{{}}' | field url); echo "$URL"

# 7. The same by curl: the gateway's page hands a token over to the site, which opens a session for it.
TOKEN=$(curl -sS --cacert $CA "$URL" | grep -o 'name="token" value="[^"]*"' | cut -d'"' -f4)
curl -sS -o /dev/null -c /tmp/latchkey-cookies -w '%{{http_code}} to %{{redirect_url}}\n' -H "Origin: $GATEWAY" \
  --data-urlencode "token=$TOKEN" $SITE/.well-known/latchkey-sso
curl -sS -b /tmp/latchkey-cookies $SITE/wp-admin/ | grep -o '<title>[^<]*</title>\|display-name.>[^<]*' | sort -u

# 8. Who has access, and what it amounts to?
as {OWNER} GET /v1/instances/live/shares

# 9. Why may the guest do this, and not that?
as {OWNER} POST /v1/instances/live/explain '{{"person":"{GUEST}","operation":"sso.open"}}'
as {OWNER} POST /v1/instances/live/explain '{{"person":"{GUEST}","operation":"site_name.set"}}'

# 10. The owner takes the key back. The reply counts what was closed.
as {OWNER} DELETE /v1/instances/live/shares/$SHARE

# 11. The very next request with that cookie is sent to the login form.
curl -sS -o /dev/null -b /tmp/latchkey-cookies -w '%{{http_code}} to %{{redirect_url}}\n' $SITE/wp-admin/
rm /tmp/latchkey-cookies

# 12. A developer gets files as well. Invite, accept, and make a password, which is told once.
SHARE=$(as {OWNER} POST /v1/instances/live/shares '{{"email":"{DEVELOPER}","role":"developer"}}' | field id)
as {DEVELOPER} POST /v1/instances/live/shares/$SHARE/accept '{{}}' | field state
ACCOUNT=$(as {DEVELOPER} POST /v1/instances/live/shares/$SHARE/password '{{}}'); echo "$ACCOUNT"
LOGIN=$(echo "$ACCOUNT" | field login); PASSWORD=$(echo "$ACCOUNT" | field password)

# 13. By FTP over TLS, and by SFTP (sftp asks for the password; the node's key is {sftp_key}).
curl -sS --ssl-reqd --cacert $CA --user "$LOGIN:$PASSWORD" ftp://{ftp}/ | head -4
echo "sftp -P {sftp_port} $LOGIN@{sftp_host}"

# 14. The owner ends it. Sessions that you have open are cut, and counted.
as {OWNER} DELETE /v1/instances/live/shares/$SHARE

# 15. A colleague gets what belongs to the hosting: all of it, on every site that lives there.
SHARE=$(as {OWNER} POST /v1/instances/live/shares '{{"email":"{COLLEAGUE}","role":"full_access","log_in_as":"all"}}' | field id)
as {COLLEAGUE} POST /v1/instances/live/shares/$SHARE/accept '{{}}' | field state
may() {{ as {COLLEAGUE} POST /v1/instances/live/operations/$1 "$2"; }}

# 16. A database, a user for it (the password is shown once), and what the two have to do with one another.
may database.create '{{"name":"shop"}}'
may database_user.create '{{"name":"shopper"}}'
may database_grant.set '{{"user":"{prefix}shopper","database":"{prefix}shop","privileges":["select","insert"]}}'
may database.list '{{}}'

# 17. phpMyAdmin for that database, without a password. Open the URL in a browser and press the button.
may phpmyadmin.open '{{"database":"{prefix}shop"}}' | field url

# 18. A line of the real crontab, in words and with its next three runs.
may cron.create '{{"schedule":"*/5 1 * * 1-5","command":"date +%F >> when"}}'
crontab -u {system_user} -l | tail -2

# 19. Files of the home, and the log of the site without what may be secrets in it.
may file.write '{{"path":"hello.txt","content":"hello"}}'
may file.list '{{"limit":5}}'
curl -sS --cacert $CA --cert {certificate} --key {key} -H "Latchkey-Actor: {COLLEAGUE}" $PANEL/v1/instances/live/files/hello.txt; echo
may log.list '{{}}'

# 20. The owner ends it: the entry leaves the crontab, the account of phpMyAdmin goes, and the reply says what the
#     colleague knows and could still use, with the operation that ends it.
as {OWNER} DELETE /v1/instances/live/shares/$SHARE
crontab -u {system_user} -l

# 21. The same agent on the command line, in a shell of root's. Adapters are installed and called so: plugins/GUIDE.md.
latchkey() {{ {latchkey} "$@" --config {configuration}; }}
latchkey hosting list

# Ctrl-C here takes everything down and leaves nothing behind. Logs: {root}/log
"#,
        site = live.url,
        admin = admin.login,
        password = admin.password,
        panel = agent.urls().panel,
        gateway = agent.urls().gateway,
        mail = agent.paths().mail.display(),
        ca = agent.ca().display(),
        certificate = client.certificate.display(),
        key = client.key.display(),
        editor = editor.login,
        editor_id = editor.id,
        prefix = hosting.db_prefix,
        system_user = hosting.user.name,
        sftp_key = agent.sftp_host_key()?,
        ftp = agent.urls().ftp,
        sftp_host = agent.urls().sftp.ip(),
        sftp_port = agent.urls().sftp.port(),
        latchkey = agent.paths().programs.join("latchkey").display(),
        configuration = agent.paths().serve_config.display(),
        root = node.root().display(),
    ))
}
