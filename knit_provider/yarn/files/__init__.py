"""Files in HDFS and in other Hadoop filesystems, behind one port."""
