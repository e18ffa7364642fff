"""What is answered over HTTP beside media: admin REST, problems, the live meter, pages."""
