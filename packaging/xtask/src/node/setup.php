<?php
/**
 * Sets up the WordPress in the current directory, as its system user: a new site, or the passwords of a cloned one.
 *
 * LATCHKEY_SETUP holds JSON: {"new": bool, "url", "title", "users": [{"login", "password", "display_name", "role"}]},
 * the administrator first. Nothing is mailed and nothing is asked over HTTP.
 */

$setup = json_decode((string) getenv('LATCHKEY_SETUP'), true, 16, JSON_THROW_ON_ERROR);
$address = parse_url($setup['url']);
$_SERVER['HTTP_HOST'] = $address['host'] . ':' . $address['port'];
$_SERVER['SERVER_NAME'] = $address['host'];
$_SERVER['SERVER_PORT'] = (string) $address['port'];
$_SERVER['REQUEST_URI'] = '/';
$_SERVER['REQUEST_METHOD'] = 'GET';
$_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';

if ($setup['new']) {
    define('WP_INSTALLING', true);
    define('WP_SITEURL', $setup['url']);
}
require getcwd() . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';

add_filter('pre_wp_mail', '__return_true');
add_filter('pre_http_request', fn () => new WP_Error('refused', 'set-up asks nothing over HTTP'));

if ($setup['new']) {
    $admin = array_shift($setup['users']);
    wp_install($setup['title'], $admin['login'], $admin['login'] . '@example.org', true, '', wp_slash($admin['password']));
    wp_update_user(['ID' => 1, 'display_name' => $admin['display_name']]);
    update_option('permalink_structure', '/%year%/%monthnum%/%postname%/');
    foreach ($setup['users'] as $user) {
        $made = wp_insert_user([
            'user_login' => $user['login'],
            'user_pass' => $user['password'],
            'user_email' => $user['login'] . '@example.org',
            'display_name' => $user['display_name'],
            'role' => $user['role'],
        ]);
        if (is_wp_error($made)) {
            throw new RuntimeException($made->get_error_message());
        }
    }
} else {
    update_option('blogname', $setup['title']);
    foreach ($setup['users'] as $user) {
        wp_set_password($user['password'], get_user_by('login', $user['login'])->ID);
    }
}
