"""Python environments: built or taken as they are, packed into one archive, and kept for the next time.

``build`` makes the archive, ``cache`` keeps archives in HDFS. Nothing here is imported before it is needed.
"""
