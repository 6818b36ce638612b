# Boots systemd with the packaged units, as they are, in namespaces and over copies of the node's directories.
# $1 is the directory of the trial: in it `programs`, `config`, `systemd`, `bridge`, `trial.sh`; what comes out goes to `out`.
set -eu
trial=$1
mount -t tmpfs tmpfs "$trial/over"
for directory in etc usr; do
    mkdir "$trial/over/$directory" "$trial/over/$directory.work"
    mount -t overlay overlay \
        -o "lowerdir=/$directory,upperdir=$trial/over/$directory,workdir=$trial/over/$directory.work" "/$directory"
done
for directory in home root run var; do mount -t tmpfs -o mode=755 tmpfs "/$directory"; done
mkdir /var/cache /var/lib /var/log /var/spool
install -d -m 1777 /var/tmp
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup

# As systemd leaves it on a node, if it believes to be in none.
mount --make-rshared /

# The package, as it would be installed.
install -m 755 "$trial/programs/latchkey" /usr/bin/latchkey
for program in latchkey-broker latchkey-ftpauth pure-ftpd; do
    install -m 755 "$trial/programs/$program" "/usr/sbin/$program"
done
mkdir -p /usr/lib/latchkey /etc/latchkey
for program in latchkey-php latchkey-files latchkey-runner latchkey-compiler attempts; do
    install -m 755 "$trial/programs/$program" /usr/lib/latchkey
done
cp -r "$trial/bridge/." /usr/lib/latchkey
cp "$trial/config/"*.toml "$trial/pure-ftpd/pure-ftpd.conf" /etc/latchkey
useradd --system --user-group --no-create-home --shell /usr/sbin/nologin latchkey
useradd --create-home --home-dir /home/unit-site --user-group --shell /usr/sbin/nologin unit-site
install -d -o unit-site -g unit-site /home/unit-site/public
latchkey pki init --dir /etc/latchkey/pki
for name in panel gateway ftp; do latchkey pki issue --dir /etc/latchkey/pki --name "$name" --server 127.0.0.1; done
cat /etc/latchkey/pki/ftp.key /etc/latchkey/pki/ftp.pem > /etc/latchkey/ftp.pem
chmod 600 /etc/latchkey/ftp.pem
chown -R latchkey: /etc/latchkey/pki

# Nothing of the node's own services, and ours with what they say wrong where it can be read.
rm -rf /etc/systemd/system/* /usr/lib/systemd/system/*.wants
cp "$trial/systemd/"*.service "$trial/systemd/"*.socket /usr/lib/systemd/system
for unit in latchkey latchkey-broker latchkey-ftpauth latchkey-pure-ftpd; do
    mkdir "/etc/systemd/system/$unit.service.d"
    printf '[Service]\nStandardError=append:%s\n' "$trial/out/$unit.log" > "/etc/systemd/system/$unit.service.d/log.conf"
done
for unit in latchkey latchkey-broker; do
    # The same unit around a program that tries what it should not be able to do.
    cp "/usr/lib/systemd/system/$unit.service" "/etc/systemd/system/$unit-attempts.service"
    mkdir "/etc/systemd/system/$unit-attempts.service.d"
    cat > "/etc/systemd/system/$unit-attempts.service.d/attempts.conf" <<END
[Service]
Type=oneshot
Restart=no
ExecStart=
ExecStart=/usr/lib/latchkey/attempts --plain
StandardInput=file:$trial/$unit.attempts
StandardOutput=file:$trial/out/$unit.attempts
StandardError=append:$trial/out/$unit-attempts.log
END
done
cat > /etc/systemd/system/trial.service <<END
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh $trial/trial.sh
StandardOutput=append:$trial/out/trial
StandardError=append:$trial/out/trial
ExecStopPost=/bin/systemctl --no-block exit
END
exec env -i container=latchkey-trial PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=trial.service --show-status=no
