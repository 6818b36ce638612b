<?php
/**
 * How phpMyAdmin is used at the paths that Latchkey hands out; elsewhere nothing changes.
 *
 * /etc/phpmyadmin/conf.d/latchkey.php has one line: <?php require '/usr/lib/latchkey/phpmyadmin/latchkey.php';
 */

if (isset($_SERVER['LATCHKEY_SESSION'])) {
    $latchkey_path = '/latchkey/' . $_SERVER['LATCHKEY_SESSION'] . '/';
    $cfg['Servers'] = [1 => [
        'auth_type' => 'signon',
        'SignonScript' => __DIR__ . '/sign-on.php',
        'SignonURL' => $latchkey_path . 'sign-out',
        'LogoutURL' => $latchkey_path . 'sign-out',
        'host' => 'localhost',
        'socket' => $_SERVER['LATCHKEY_DATABASE_SOCKET'],
        'connect_type' => 'socket',
        'AllowNoPassword' => false,
        'hide_db' => '^(information_schema|performance_schema|mysql|sys)$',
    ]];
    $cfg['ServerDefault'] = 1;
    $cfg['AllowArbitraryServer'] = false;
    $cfg['AllowUserDropDatabase'] = false;
    // Debian's own is for the web server's user; the pool's is private.
    $cfg['TempDir'] = sys_get_temp_dir() . '/';
    // Files on the node are nobody's business there.
    $cfg['UploadDir'] = '';
    $cfg['SaveDir'] = '';
    $cfg['VersionCheck'] = false;
    $cfg['SendErrorReports'] = 'never';
    $cfg['ShowPhpInfo'] = false;
    $cfg['PmaNoRelation_DisableWarning'] = true;
    $cfg['LoginCookieValidityDisableWarning'] = true;
    unset($latchkey_path);
}
