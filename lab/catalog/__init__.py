"""What can be installed: folders of ``addons/`` become a checked ``Catalog``, and objects for clusters."""
