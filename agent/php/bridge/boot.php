<?php
/**
 * What has to stand before WordPress is loaded: constants, the request it believes to serve, and hooks.
 *
 * Used by bridge.php and redemption.php, which say in die_handler() and refuse_redirect() how they end when the site stops them.
 * Loads nothing itself: wp-load.php has to be required in the global scope. PHP 7.4.
 */

namespace Latchkey;

/** Fills a hook before WordPress exists; WordPress turns such entries into real hooks. $function is a name. */
function seed_hook(string $hook, string $function, int $priority, int $arguments = 1): void
{
    $function = __NAMESPACE__ . '\\' . $function;
    $GLOBALS['wp_filter'][$hook][$priority][$function] = ['function' => $function, 'accepted_args' => $arguments];
}

/** Constants that keep WordPress from mailing, updating or repairing anything on its own. */
const CONSTANTS = [
    'FS_METHOD' => 'direct',
    'DISABLE_WP_CRON' => true,
    // Otherwise a fatal error prints HTML, enters the recovery mode and mails the owner.
    'WP_DISABLE_FATAL_ERROR_HANDLER' => true,
    'DONOTCACHEPAGE' => true,
];

/** Defines them before wp-config.php can: its own definition comes too late then, and PHP's warning of it is dropped. */
function define_constants(): void
{
    foreach (CONSTANTS as $name => $value) {
        if (!defined($name)) {
            define($name, $value);
        }
    }
    set_error_handler(static function (int $type, string $message): bool {
        $names = implode('|', array_keys(CONSTANTS)) . '|WPMU_PLUGIN_DIR';
        return preg_match("/^Constant ($names) already defined/", $message) === 1;
    }, E_WARNING | E_NOTICE);
}

/** Hooks for every start: nothing may redirect, mail, serve from a page cache or stop for maintenance. */
function seed_guards(): void
{
    foreach (['wp_die_handler', 'wp_die_ajax_handler', 'wp_die_json_handler', 'wp_die_jsonp_handler',
        'wp_die_xmlrpc_handler', 'wp_die_xml_handler'] as $hook) {
        seed_hook($hook, 'die_handler', PHP_INT_MAX);
    }
    seed_hook('wp_redirect', 'refuse_redirect', PHP_INT_MAX);
    seed_hook('pre_wp_mail', 'no', PHP_INT_MAX);
    seed_hook('enable_maintenance_mode', 'no', PHP_INT_MAX);
    seed_hook('enable_loading_advanced_cache_dropin', 'no', PHP_INT_MAX);
}

/**
 * Hooks that leave plugins, must-use plugins and the theme out of this start.
 *
 * The object cache is loaded all the same: what is written past it would stay stale, a new session unseen and an ended
 * one alive. While plugins are left out nothing may write the list of active ones back: it would be the empty one.
 */
function seed_skipping(): void
{
    foreach (['pre_option_active_plugins', 'option_active_plugins', 'pre_site_option_active_sitewide_plugins',
        'site_option_active_sitewide_plugins'] as $hook) {
        seed_hook($hook, 'none', 999);
    }
    seed_hook('pre_update_option_active_plugins', 'keep_old_value', PHP_INT_MAX, 2);
    seed_hook('pre_update_site_option_active_sitewide_plugins', 'keep_old_value', PHP_INT_MAX, 2);
    seed_hook('plugins_loaded', 'stop_skipping_plugins', PHP_INT_MIN);
    seed_hook('setup_theme', 'start_skipping_theme', 999);
    seed_hook('after_setup_theme', 'stop_skipping_theme', PHP_INT_MIN);
    if (!defined('WPMU_PLUGIN_DIR')) {
        define('WPMU_PLUGIN_DIR', '/nonexistent');
    }
}

/** The error that keeps a folder from being started as WordPress, or null. Looks at files only. */
function missing_wordpress(string $abspath): ?string
{
    if (!is_file("$abspath/wp-load.php")) {
        return 'There is no wp-load.php in the docroot.';
    }
    $above = dirname($abspath);
    $beside = is_file("$abspath/wp-config.php");
    // As in wp-load.php: one level up counts unless that is another installation.
    if (!$beside && !(is_file("$above/wp-config.php") && !is_file("$above/wp-settings.php"))) {
        return 'There is no wp-config.php in the docroot or above it.';
    }
    return null;
}

/** @return false */
function no(): bool
{
    return false;
}

function none(): array
{
    return [];
}

/** @param mixed $value @param mixed $old @return mixed */
function keep_old_value($value, $old)
{
    return $old;
}

function stop_skipping_plugins(): void
{
    foreach (['pre_option_active_plugins', 'option_active_plugins', 'pre_site_option_active_sitewide_plugins',
        'site_option_active_sitewide_plugins'] as $hook) {
        remove_filter($hook, __NAMESPACE__ . '\\none', 999);
    }
    remove_filter('pre_update_option_active_plugins', __NAMESPACE__ . '\\keep_old_value', PHP_INT_MAX);
    remove_filter('pre_update_site_option_active_sitewide_plugins', __NAMESPACE__ . '\\keep_old_value', PHP_INT_MAX);
}

function start_skipping_theme(): void
{
    foreach (['pre_option_template', 'option_template', 'pre_option_stylesheet', 'option_stylesheet'] as $hook) {
        add_filter($hook, '__return_empty_string', 999);
    }
}

function stop_skipping_theme(): void
{
    foreach (['pre_option_template', 'option_template', 'pre_option_stylesheet', 'option_stylesheet'] as $hook) {
        remove_filter($hook, '__return_empty_string', 999);
    }
}
