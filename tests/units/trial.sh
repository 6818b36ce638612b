# Runs inside the booted units. Each line of the output is a step and its exit code, after what the step said.
step() {
    "$@"
    echo "STEP $* = $?"
}
step systemctl start latchkey-attempts.service
step systemctl start latchkey-broker.socket
step systemctl start latchkey-broker-attempts.service
step systemctl start latchkey.service
step latchkey hosting put h1 --system-user unit-site --home /home/unit-site --db-prefix unit_ \
    --owner owner@example.org --php-binary /usr/bin/php8.2
step latchkey instance put live --hosting h1 --docroot /home/unit-site/public --url http://127.0.0.1:8081 \
    --label Unit --database unit_wp --owner owner@example.org
step latchkey op run live site_name.show
step systemctl is-active latchkey.service latchkey-broker.service

# An adapter: compiled, run, and heard when it asks for something, which is not granted here.
step latchkey adapter install --unsigned "$(dirname "$0")/adapter"
step latchkey adapter run linux h1 databases list-databases

# A command of the operator's, as the hosting's user.
mkdir -p /etc/latchkey/adapters.d
printf '[grants.commands.who]\nargv = ["/usr/bin/id", "-un"]\n' > /etc/latchkey/adapters.d/commander.toml
step latchkey adapter install --unsigned "$(dirname "$0")/commander"
step latchkey adapter run commander h1 logs locate domain=who --json

# FTP. Each upload is another sign-in, by TLS.
step systemctl start latchkey-pure-ftpd.service
password=$(latchkey op run live ftp_account.create name=deploy --json | sed -n 's/.*"password": *"\([^"]*\)".*/\1/p')
upload() {
    echo "user = \"deploy.h1:$password\"" | curl --silent --show-error --max-time 60 --retry 30 --retry-delay 1 \
        --retry-all-errors --config - --ssl-reqd --cacert /etc/latchkey/pki/ca.pem --upload-file /etc/hostname \
        "ftp://127.0.0.1/public/$1"
}
step upload first
step systemctl restart latchkey-pure-ftpd.service
step upload after-a-restart-of-the-server
step systemctl restart latchkey-ftpauth.service
step upload after-a-restart-of-ftpauth
step systemctl kill --signal=KILL latchkey-ftpauth.service
step upload after-a-crash-of-ftpauth
step systemctl is-active latchkey-ftpauth.service latchkey-pure-ftpd.service
ls -l /home/unit-site/public
# What was noted is written when serve ends.
step systemctl restart latchkey.service
step latchkey audit tail
