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
